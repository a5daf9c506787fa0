//! Running the binary, and small folders of real image files to run it on.

#![allow(dead_code, clippy::unwrap_used)] // not every test file uses everything; tests may panic

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use image::{DynamicImage, Rgb, RgbImage};

/// The binary with its arguments, not yet started.
pub(crate) fn tercet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    tercet(arguments).output().unwrap()
}

/// What a command prints that must succeed.
pub(crate) fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON that a command prints that must succeed.
pub(crate) fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&succeed(arguments)).unwrap()
}

/// What a command says on stderr that must fail with `status`.
pub(crate) fn fail(arguments: &[&str], status: i32) -> String {
    let output = run(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Eight classes of six images: stripes whose angle and colour tell the class, as PNG and JPEG of
/// many sizes.
pub(crate) fn pictures(folder: &Path) {
    for class in 0..8_u32 {
        let directory = folder.join(format!("class {class}"));
        fs::create_dir_all(&directory).unwrap();
        for instance in 0..6_u32 {
            let (width, height) = (20 + 7 * instance, 44 - 3 * instance);
            let (dx, dy) = (class % 3, 1 + class / 3);
            let image = RgbImage::from_fn(width, height, |x, y| {
                let on = (x * dx * 40 / width + y * dy * 40 / height + 3 * instance) / 6 % 2 == 0;
                let light = if on { 230 } else { 40 };
                Rgb([light, (light as u32 * (class + 1) / 9) as u8, 255 - light])
            });
            let ending = if instance % 2 == 0 { "png" } else { "jpg" };
            DynamicImage::from(image).save(directory.join(format!("{instance}.{ending}"))).unwrap();
        }
    }
}

/// Settings that make a run take a second.
pub(crate) const TINY: [&str; 10] =
    ["--batch", "3x2", "--size", "16", "--width", "4", "--embedding-dim", "8", "--holdout", "0.25"];

/// Pictures and a model trained on them for a moment, made once for all tests of a file.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn get() -> &'static Self {
        static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
        WORLD.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let world = Self { folder };
            pictures(&world.path("photos"));
            let (source, run) = (world.text("photos"), world.text("runs/photos-1"));
            let model = world.text("model.safetensors");
            let more = ["--steps", "40", "--quiet", "--holdout", "0.5"];
            let more = [&more[..], &TINY[..8], &["--run", &run, "--out", &model]].concat();
            succeed(&[&["train", &source][..], &more].concat());
            world
        })
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}
