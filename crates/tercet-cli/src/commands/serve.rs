//! `tercet serve`: serves a gallery over HTTP, with a page.

mod browser;
mod termination;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tempfile::TempDir;
use tercet_serve::{Limits, MOST, Server, Settings, demo};
use tercet_train::data::{LabelFrom, Source};

use self::termination::Termination;
use super::gallery::synced;
use crate::exit::{Interrupted, Usage};
use crate::{General, interrupt, progress};

/// The variable that contains the token if no flag gives it: all users of the machine can see
/// flags.
const TOKEN_VARIABLE: &str = "TERCET_TOKEN";

/// The minimum length of a token that admits other machines: so many random characters cannot be
/// guessed.
const SHORTEST_TOKEN: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A gallery: a folder, or a `postgres://` address in a build with it. Or pictures: `kind:PATH`,
    /// or a path whose kind is recognised; a gallery of them is built in `galleries` here, and
    /// updated at the next start. Without one, the embedded pictures are served, with a small model.
    gallery: Option<String>,
    /// The model behind the gallery's vectors [default: the one that the gallery keeps; for
    /// pictures, the newest of runs/SOURCE-1, runs/SOURCE-2…].
    #[arg(long)]
    model: Option<PathBuf>,
    /// Open the page in the browser.
    #[arg(long)]
    open: bool,
    /// For pictures: take the class from the names of the files: a regular expression with one
    /// group, such as '^(\d+)_'.
    #[arg(long, value_name = "REGEX")]
    label_from: Option<LabelFrom>,
    /// For pictures: leave unreadable ones out instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// The port to listen at; 0 takes any that is free.
    #[arg(long, default_value_t = 8728)]
    port: u16,
    /// The address to listen at. Others than this machine's own need a token.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Answer only requests with this token (also by the variable TERCET_TOKEN). With --bind to
    /// other machines it needs at least 16 characters.
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
    /// Pictures that may wait to be embedded; further clients get 503.
    #[arg(long, default_value_t = 64)]
    queue: usize,
    /// Connections at once; beyond that idle ones are closed, or new clients get 503.
    #[arg(long, default_value_t = 512)]
    max_connections: usize,
    /// The same for the connections from one address [default: a quarter of --max-connections].
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<usize>,
    /// Seconds that an answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Serve {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let stop = interrupt::watch()?;
        // Install this handler after the first one, so that both are called.
        let termination = Termination::watch()?;
        match self.serve(general, stop) {
            // A service manager has asked the server to stop, and it has shut down cleanly: this is
            // a success.
            Err(error) if error.is::<Interrupted>() && termination.asked() => {
                progress::remark(general, error);
                Ok(ExitCode::SUCCESS)
            }
            ended => ended,
        }
    }

    /// Serves until it is stopped, which is returned as an error, too.
    fn serve(self, general: &General, stop: &AtomicBool) -> anyhow::Result<ExitCode> {
        let token = self.token()?;
        let limits = self.limits()?;
        super::use_threads(self.threads)?;
        // Check this before the long work starts.
        let address = SocketAddr::new(self.bind, self.port);
        let listener = TcpListener::bind(address).with_context(|| {
            format!("cannot listen at {address}: give another --port or --bind")
        })?;

        let opened = self.opened(general, token, limits)?;
        let Opened { server, name, location, folder } = opened;
        let address = listener.local_addr()?;
        let page = format!("http://{address}/");
        let result = json!({
            "page": page,
            "gallery": name,
            "location": location,
            "items": server.items(),
            "model": server.model(),
        });
        super::print(general, &result, || page.clone())?;
        if server.model().is_none() {
            let note = "note: the gallery keeps no model: its items can be searched for, pictures \
                        cannot; --model FILE names the model";
            progress::remark(general, note);
        }
        if self.open
            && let Err(reason) = browser::open(&reachable(address))
        {
            progress::remark(general, format!("note: {reason}: open {page} yourself"));
        }
        progress::remark(general, "Ctrl-C stops");
        server.run(listener, || stop.load(Ordering::Relaxed))?;
        drop(folder);
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
            Some(token) if !self.bind.is_loopback() && token.len() < SHORTEST_TOKEN => {
                Err(Usage(format!(
                    "the token has {} characters: with --bind {} expected at least \
                     {SHORTEST_TOKEN}, for example from `openssl rand -hex 16`",
                    token.len(),
                    self.bind
                ))
                .into())
            }
            None if !self.bind.is_loopback() => Err(Usage(format!(
                "--bind {} lets other machines in: give a token of at least {SHORTEST_TOKEN} \
                 characters by --token or {TOKEN_VARIABLE}",
                self.bind
            ))
            .into()),
            _ => Ok(token),
        }
    }

    fn limits(&self) -> anyhow::Result<Limits> {
        /// One day in seconds.
        const LONGEST: u64 = 24 * 60 * 60;
        let defaults = Limits::default();
        let each = self.max_connections_per_address;
        let most = MOST as u64;
        for (flag, got, most) in [
            ("--max-body", self.max_body as u64, most),
            ("--max-pixels", self.max_pixels, most),
            ("--queue", self.queue as u64, most),
            ("--max-connections", self.max_connections as u64, most),
            ("--max-connections-per-address", each.unwrap_or(1) as u64, most),
            ("--timeout", self.timeout, LONGEST),
        ] {
            if !(1..=most).contains(&got) {
                let message = format!("{flag} is {got}: expected a number from 1 to {most}");
                return Err(Usage(message).into());
            }
        }
        let body = self.max_body << 20;
        let answer = Duration::from_secs(self.timeout);
        Ok(Limits {
            body,
            bodies: defaults.bodies.max(body),
            pixels: self.max_pixels * 1_000_000,
            queue: self.queue,
            connections: self.max_connections,
            connections_per_address: each.unwrap_or((self.max_connections / 4).max(1)),
            answer,
            upload: defaults.upload.min(answer),
            ..defaults
        })
    }

    /// Opens the given gallery, or the gallery of the given pictures, or else the embedded one.
    fn opened(
        &self,
        general: &General,
        token: Option<String>,
        limits: Limits,
    ) -> anyhow::Result<Opened> {
        let open = |gallery: &str, name: &str, model: Option<&Path>, passing: bool| {
            let spinner = progress::spinner(general, "opening the gallery");
            let server = Server::open(Settings {
                gallery: gallery.to_owned(),
                name: name.to_owned(),
                model: model.map(Path::to_owned),
                read_only: self.read_only,
                passing,
                token: token.clone(),
                limits,
            });
            spinner.finish_and_clear();
            server
        };
        let Some(given) = &self.gallery else {
            let folder = self.embedded()?;
            let location = folder.path().display().to_string();
            let server = open(&location, "glyphs", None, true)?;
            return Ok(Opened {
                server,
                name: "glyphs".to_owned(),
                location,
                folder: Some(folder),
            });
        };
        let shown = tercet_gallery::shown(given);
        // A gallery is a folder or an address, and never a file.
        if !Path::new(given).is_file() {
            let name = Path::new(&shown).file_stem();
            let name =
                name.map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
            match open(given, &name, self.model.as_deref(), false) {
                Ok(server) => return Ok(Opened { server, name, location: shown, folder: None }),
                Err(tercet_serve::Error::Gallery(tercet_gallery::Error::NotAGallery {
                    ..
                })) if !tercet_gallery::is_database(given) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let source: Source = given
            .parse()
            .with_context(|| format!("{given} is no gallery and no source of pictures"))?;
        let model = self.model.as_deref();
        let label_from = self.label_from.clone();
        let location =
            synced::gallery_of(general, given, &source, model, label_from, self.skip_bad)?;
        let location = location.display().to_string();
        let name = source.name();
        let server = open(&location, &name, None, false)?;
        Ok(Opened { server, name, location, folder: None })
    }

    fn embedded(&self) -> anyhow::Result<TempDir> {
        if self.model.is_some() {
            return Err(Usage("--model needs a GALLERY whose vectors it made".to_owned()).into());
        }
        let folder = tempfile::Builder::new().prefix("tercet-").tempdir();
        let folder = folder.context("cannot make a folder for the embedded pictures")?;
        demo::glyphs(folder.path())?;
        Ok(folder)
    }
}

/// The address of the page for a browser on this machine.
fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, address.port()))
}

struct Opened {
    server: Server,
    name: String,
    location: String,
    /// The folder of a gallery that is deleted when the server stops.
    folder: Option<TempDir>,
}
