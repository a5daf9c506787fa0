//! `tercet serve`: a gallery over HTTP, with a page.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tempfile::TempDir;
use tercet_serve::{Limits, Server, Settings, demo};

use crate::exit::{Interrupted, Usage};
use crate::{General, interrupt, progress};

/// Where the token is looked for if no flag gives it: flags are seen by everybody on the machine.
const TOKEN_VARIABLE: &str = "TERCET_TOKEN";

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A gallery: a folder, or a `postgres://` address in a build with it. Without one, the embedded
    /// pictures are served, with a small model.
    gallery: Option<String>,
    /// The model behind the gallery's vectors; without it, the one that the gallery keeps.
    #[arg(long)]
    model: Option<PathBuf>,
    /// The port to listen at; 0 takes any that is free.
    #[arg(long, default_value_t = 8728)]
    port: u16,
    /// The address to listen at. Others than this machine's own need a token.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Answer only who has this token (also by the variable TERCET_TOKEN).
    #[arg(long)]
    token: Option<String>,
    /// Nothing can be added or removed.
    #[arg(long)]
    read_only: bool,
    /// The largest upload, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    max_body: usize,
    /// The largest picture, in millions of pixels.
    #[arg(long, value_name = "MEGAPIXELS", default_value_t = 50)]
    max_pixels: u64,
    /// Pictures that may wait to be embedded; others are told to come back (503).
    #[arg(long, default_value_t = 64)]
    queue: usize,
    /// Connections at once; others are told to come back (503).
    #[arg(long, default_value_t = 512)]
    max_connections: usize,
    /// Seconds that an answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Serve {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let token = self.token()?;
        let limits = self.limits()?;
        super::use_threads(self.threads)?;
        let stop = interrupt::watch()?;
        // Asked before the long work starts.
        let address = SocketAddr::new(self.bind, self.port);
        let listener = TcpListener::bind(address).with_context(|| {
            format!("cannot listen at {address}: give another --port or --bind")
        })?;

        let spinner = progress::spinner(general, "opening the gallery");
        let opened = match &self.gallery {
            Some(gallery) => Self::given(gallery),
            None => self.embedded()?,
        };
        let server = Server::open(Settings {
            gallery: opened.gallery,
            name: opened.name.clone(),
            model: self.model.clone(),
            read_only: self.read_only,
            passing: opened.folder.is_some(),
            token,
            limits,
        })?;
        spinner.finish_and_clear();
        let page = format!("http://{}/", listener.local_addr()?);
        let result = json!({
            "page": page,
            "gallery": opened.name,
            "items": server.items(),
            "model": server.model(),
        });
        super::print(general, &result, || page.clone())?;
        if server.model().is_none() {
            let note = "note: the gallery keeps no model: its items can be searched for, pictures \
                        cannot; --model FILE gives it";
            progress::remark(general, note);
        }
        progress::remark(general, "Ctrl-C stops");
        server.run(listener, || stop.load(std::sync::atomic::Ordering::Relaxed))?;
        drop(opened.folder);
        Err(Interrupted("stopped".to_owned()).into())
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        let token = self.token.clone().or_else(|| std::env::var(TOKEN_VARIABLE).ok());
        match &token {
            Some(token)
                if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Err(Usage("--token: expected printable ASCII without blanks".to_owned()).into())
            }
            None if !self.bind.is_loopback() => Err(Usage(format!(
                "--bind {} lets other machines in: give a token by --token or {TOKEN_VARIABLE}",
                self.bind
            ))
            .into()),
            _ => Ok(token),
        }
    }

    fn limits(&self) -> anyhow::Result<Limits> {
        let defaults = Limits::default();
        let body = self.max_body.saturating_mul(1 << 20);
        for (flag, is_zero) in [
            ("--max-body", body == 0),
            ("--max-pixels", self.max_pixels == 0),
            ("--queue", self.queue == 0),
            ("--max-connections", self.max_connections == 0),
            ("--timeout", self.timeout == 0),
        ] {
            if is_zero {
                return Err(Usage(format!("{flag} is 0: expected at least 1")).into());
            }
        }
        let answer = Duration::from_secs(self.timeout);
        Ok(Limits {
            body,
            bodies: defaults.bodies.max(body),
            pixels: self.max_pixels.saturating_mul(1_000_000),
            queue: self.queue,
            connections: self.max_connections,
            answer,
            upload: defaults.upload.min(answer),
            ..defaults
        })
    }

    fn given(gallery: &str) -> Opened {
        let shown = tercet_gallery::shown(gallery);
        let name = Path::new(&shown).file_stem();
        let name = name.map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
        Opened { gallery: gallery.to_owned(), name, folder: None }
    }

    fn embedded(&self) -> anyhow::Result<Opened> {
        if self.model.is_some() {
            return Err(Usage("--model needs a GALLERY whose vectors it made".to_owned()).into());
        }
        let folder = tempfile::Builder::new().prefix("tercet-").tempdir();
        let folder = folder.context("cannot make a folder for the embedded pictures")?;
        demo::glyphs(folder.path())?;
        let gallery = folder.path().display().to_string();
        Ok(Opened { gallery, name: "glyphs".to_owned(), folder: Some(folder) })
    }
}

struct Opened {
    gallery: String,
    name: String,
    /// Of a gallery that is gone when the server stops.
    folder: Option<TempDir>,
}
