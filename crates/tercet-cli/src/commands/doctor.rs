//! `tercet doctor`: checks what this build and this machine support, and says how to get what is
//! missing.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::General;
use crate::table::count;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct Doctor {}

/// The results of the check.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    build: Build,
    system: System,
    processor: Processor,
    memory: Memory,
    /// The devices that this build can compute on.
    devices: Vec<&'static str>,
    terminal: Terminal,
    folder: Folder,
    /// Recommended changes, one sentence each; empty if there are none.
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Build {
    optimised: bool,
    features: Vec<Feature>,
}

#[derive(Debug, Serialize)]
struct Feature {
    name: &'static str,
    compiled: bool,
    what: &'static str,
}

#[derive(Debug, Serialize)]
struct System {
    os: &'static str,
    architecture: &'static str,
}

#[derive(Debug, Serialize)]
struct Processor {
    cores: usize,
    threads: usize,
    features: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Memory {
    total_bytes: u64,
    available_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Terminal {
    stdout: bool,
    columns: Option<usize>,
    unicode: bool,
}

#[derive(Debug, Serialize)]
struct Folder {
    path: String,
    writable: bool,
    /// The reason if it cannot be written.
    problem: Option<String>,
}

impl Doctor {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let findings = Findings::collect();
        super::print(general, &findings, || findings.text())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Findings {
    fn collect() -> Self {
        let mut found = Self {
            version: env!("CARGO_PKG_VERSION"),
            build: Build { optimised: !cfg!(debug_assertions), features: features() },
            system: System { os: std::env::consts::OS, architecture: std::env::consts::ARCH },
            processor: Processor {
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                threads: rayon::current_num_threads(),
                features: processor_features(),
            },
            memory: memory(),
            devices: devices(),
            terminal: Terminal {
                stdout: std::io::stdout().is_terminal(),
                columns: terminal::stdout_width(),
                unicode: speaks_unicode(),
            },
            folder: folder(),
            advice: Vec::new(),
        };
        found.advice = found.advise();
        found
    }

    fn advise(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if !self.build.optimised {
            advice.push(
                "this build is not optimised and trains several times slower: build with cargo build --release"
                    .to_owned(),
            );
        }
        let missing: Vec<&str> = self
            .build
            .features
            .iter()
            .filter(|feature| !feature.compiled)
            .map(|feature| feature.name)
            .collect();
        if !missing.is_empty() {
            advice.push(format!(
                "features that are not compiled in: build with cargo install --path crates/tercet-cli --features {}",
                missing.join(",")
            ));
        }
        if cfg!(target_arch = "x86_64") && !self.processor.features.contains(&"avx2") {
            advice.push(
                "the processor has no AVX2 (or a virtual machine hides it): training and search take several times longer"
                    .to_owned(),
            );
        }
        if self.memory.available_bytes > 0 && self.memory.available_bytes < 1 << 30 {
            advice.push(
                "less than 1 GiB of memory is available: close other programs, or train with --cache-limit 256MiB and a smaller --chunk"
                    .to_owned(),
            );
        }
        if let Some(problem) = &self.folder.problem {
            advice.push(format!(
                "the current folder cannot be written ({problem}): change to another one, or name one with --run and --out"
            ));
        }
        if !self.terminal.unicode {
            advice.push(
                "the terminal's locale is not UTF-8, so bars and names may look wrong: set LANG=C.UTF-8"
                    .to_owned(),
            );
        }
        advice
    }

    fn text(&self) -> String {
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64);
        let build = if self.build.optimised { "optimised" } else { "not optimised" };
        let mut text = format!("tercet     {} ({build})\n", self.version);
        text += &format!("system     {}, {}\n", self.system.os, self.system.architecture);
        text += &format!(
            "processor  {} cores, {} threads; {}\n",
            count(self.processor.cores),
            count(self.processor.threads),
            match self.processor.features.is_empty() {
                true => "no vector extensions that are looked for".to_owned(),
                false => self.processor.features.join(", "),
            }
        );
        text += &format!(
            "memory     {}, {} available\n",
            gib(self.memory.total_bytes),
            gib(self.memory.available_bytes)
        );
        text += &format!("devices    {}\n", self.devices.join(", "));
        text += &format!(
            "terminal   {}\n",
            match (self.terminal.stdout, self.terminal.columns) {
                (true, Some(columns)) => format!("{columns} columns"),
                (true, None) => "of unknown width".to_owned(),
                (false, _) => "none: output goes to a file or another program".to_owned(),
            }
        );
        text += &format!(
            "folder     {}, {}\n\n",
            self.folder.path,
            if self.folder.writable { "writable" } else { "not writable" }
        );
        for feature in &self.build.features {
            let compiled = if feature.compiled { "yes" } else { "no" };
            text += &format!("{:<10} {compiled:<4} {}\n", feature.name, feature.what);
        }
        text.push('\n');
        match self.advice.is_empty() {
            true => text += "nothing is missing",
            false => text += &self.advice.join("\n"),
        }
        text
    }
}

/// The optional features of this program.
fn features() -> Vec<Feature> {
    let feature = |name, compiled, what| Feature { name, compiled, what };
    vec![
        feature("gallery", cfg!(feature = "gallery"), "tercet gallery: items to search"),
        feature("hnsw", cfg!(feature = "hnsw"), "an approximate index for large galleries"),
        feature("onnx", cfg!(feature = "onnx"), "encoders of other programs as ONNX"),
        feature("parquet", cfg!(feature = "parquet"), "tables and embeddings as Parquet files"),
        feature("postgres", cfg!(feature = "postgres"), "galleries in a PostgreSQL database"),
        feature(
            "serve",
            cfg!(feature = "serve"),
            "tercet serve: a gallery over HTTP, and its page",
        ),
        feature("texts", cfg!(feature = "texts"), "encoders of sentences, with their tokeniser"),
        feature("tsne", cfg!(feature = "tsne"), "eval --map t-sne, and the map of the page"),
    ]
}

fn devices() -> Vec<&'static str> {
    vec!["cpu"]
}

fn processor_features() -> Vec<&'static str> {
    #[allow(unused_mut)]
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        for (name, there) in [
            ("sse4.2", is_x86_feature_detected!("sse4.2")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ] {
            found.extend(there.then_some(name));
        }
    }
    #[cfg(target_arch = "aarch64")]
    found.extend(std::arch::is_aarch64_feature_detected!("neon").then_some("neon"));
    found
}

fn memory() -> Memory {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // In a container, the limit of the container applies.
    let (total, available) = match system.cgroup_limits() {
        Some(limits) if limits.total_memory < system.total_memory() => {
            (limits.total_memory, limits.free_memory)
        }
        _ => (system.total_memory(), system.available_memory()),
    };
    Memory { total_bytes: total, available_bytes: available }
}

/// Whether the locale supports more than ASCII: the first of the locale's variables that is set
/// decides. Windows has no such variables.
fn speaks_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    cfg!(windows) || set.is_some_and(|value| value.to_uppercase().replace('-', "").contains("UTF8"))
}

/// Whether runs and models can be written to the current folder.
fn folder() -> Folder {
    let path =
        std::env::current_dir().map_or_else(|_| ".".to_owned(), |path| path.display().to_string());
    let problem =
        super::check_writable(Path::new("probe")).err().map(|error| error.root_cause().to_string());
    Folder { path, writable: problem.is_none(), problem }
}
