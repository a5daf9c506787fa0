//! Checks the outputs of a command before any work: each has the right file name extension, can be
//! written, and is not a file that the command reads.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use tercet_train::data::{Catalogue, Source};

use crate::exit::Usage;

/// A file or folder that a flag specifies.
#[derive(Debug, Clone, Copy)]
struct Output<'a> {
    flag: &'static str,
    path: &'a Path,
}

/// All outputs of a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outputs<'a> {
    all: Vec<Output<'a>>,
}

impl<'a> Outputs<'a> {
    /// Adds a file whose name must have one of these extensions (written without the dot). If there
    /// are none, any name is valid.
    pub(crate) fn file(
        mut self,
        flag: &'static str,
        path: Option<&'a Path>,
        endings: &[&str],
    ) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(self) };
        check_ending(flag, path, endings)?;
        if path.is_dir() {
            bail!(Usage(format!("{flag} {} is a folder: name a file in it", path.display())));
        }
        self.all.push(Output { flag, path });
        Ok(self)
    }

    /// Adds a folder.
    pub(crate) fn folder(mut self, flag: &'static str, path: Option<&'a Path>) -> Self {
        self.all.extend(path.map(|path| Output { flag, path }));
        self
    }

    /// Refuses an output that is one of these inputs, also through a link or another name of the
    /// same file, and two outputs with the same location.
    pub(crate) fn differ_from<'p>(
        &self,
        inputs: impl IntoIterator<Item = &'p Path>,
    ) -> anyhow::Result<()> {
        for (place, output) in self.all.iter().enumerate() {
            let twin =
                self.all[..place].iter().find(|other| target(other.path) == target(output.path));
            if let Some(twin) = twin {
                bail!(Usage(format!(
                    "{} and {} are both {}: name two different files",
                    twin.flag,
                    output.flag,
                    output.path.display()
                )));
            }
        }
        // A file that does not exist yet cannot be an input.
        let existing: Vec<(&Output, Identity)> = self
            .all
            .iter()
            .filter_map(|output| Some((output, Identity::of(output.path)?)))
            .collect();
        if existing.is_empty() {
            return Ok(());
        }
        for input in inputs {
            // Labels may be read from a file next to the vectors.
            let labels = ["labels.txt", "labels.npy"].map(|ending| input.with_extension(ending));
            for input in [input, &labels[0], &labels[1]] {
                let Some(identity) = Identity::of(input) else { continue };
                if let Some((output, _)) = existing.iter().find(|(_, output)| *output == identity) {
                    bail!(Usage(format!(
                        "{} {} would overwrite the input {}: name another file",
                        output.flag,
                        output.path.display(),
                        input.display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses an output that is a file of this source, before its items are listed.
    pub(crate) fn differ_from_source(&self, source: &Source) -> anyhow::Result<()> {
        let mut files: Vec<PathBuf> = source.path().map(Path::to_owned).into_iter().collect();
        files.extend(source.pairs_file());
        if let Source::Features { labels: Some(labels), .. } = source {
            files.push(labels.clone());
        }
        // Files of labels may be read from next to the vectors or the images.
        if let (Source::Features { .. } | Source::Idx(_), Some(path)) = (source, source.path()) {
            let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let entries = folder.read_dir().into_iter().flatten().flatten();
            let is_label = |path: &PathBuf| {
                path.file_name().is_some_and(|name| name.to_string_lossy().contains("label"))
            };
            files.extend(entries.map(|entry| entry.path()).filter(is_label));
        }
        self.differ_from(files.iter().map(PathBuf::as_path))
    }

    /// Refuses an output that is the file of an item of a source.
    pub(crate) fn differ_from_items(&self, catalogue: &Catalogue) -> anyhow::Result<()> {
        self.differ_from(catalogue.items.iter().filter_map(|item| item.content.file()))
    }
}

/// Refuses a file name without an extension of the format.
pub(crate) fn check_ending(flag: &str, path: &Path, endings: &[&str]) -> anyhow::Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let Some(first) = endings.first() else { return Ok(()) };
    if endings.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let known: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    bail!(Usage(format!(
        "{flag} {}: expected a name that ends in {}, such as {}",
        path.display(),
        known.join(" or "),
        path.with_extension(first).display()
    )));
}

/// Identifies a file independently of its name: by device and inode number on Unix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl Identity {
    /// The identity of a file; `None` if it does not exist.
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let metadata = fs::metadata(path).ok()?;
            Some(Self((metadata.dev(), metadata.ino())))
        }
        #[cfg(not(unix))]
        {
            fs::canonicalize(path).ok().map(Self)
        }
    }
}

/// The canonical form of a path, also for a file that does not exist yet.
fn target(path: &Path) -> PathBuf {
    if let Ok(whole) = fs::canonicalize(path) {
        return whole;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    path.file_name().map_or(folder.clone(), |name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(out: &Path, input: &Path) -> Option<String> {
        let outputs = Outputs::default().file("--out", Some(out), &[]).unwrap();
        outputs.differ_from([input]).err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_is_known_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("input"), "x").unwrap();
        fs::write(path("other"), "x").unwrap();
        fs::create_dir(path("sub")).unwrap();
        fs::hard_link(path("input"), path("hard")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(path("input"), path("soft")).unwrap();
        let mut names = vec!["input", "./input", "sub/../input", "hard"];
        names.extend(cfg!(unix).then_some("soft"));
        for name in names {
            let refusal = refusal(&path(name), &path("input"));
            assert!(refusal.is_some_and(|text| text.contains("would overwrite")), "{name}");
        }
        assert_eq!(refusal(&path("other"), &path("input")), None);
        assert_eq!(refusal(&path("new"), &path("input")), None);
        assert_eq!(refusal(&path("input"), &path("missing")), None);
    }

    #[test]
    fn two_outputs_need_two_places() {
        let folder = tempfile::tempdir().unwrap();
        let (one, same) = (folder.path().join("new"), folder.path().join("./new"));
        let outputs = Outputs::default().file("--out", Some(&one), &[]).unwrap();
        let outputs = outputs.folder("--folders", Some(&same));
        let error = outputs.differ_from([]).unwrap_err().to_string();
        assert!(error.contains("--out and --folders"), "{error}");
    }

    #[test]
    fn endings_are_named() {
        let error = check_ending("--report", Path::new("a/out.pdf"), &["html", "htm"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--report a/out.pdf: expected a name that ends in .html or .htm, such as a/out.html"
        );
        assert!(check_ending("--report", Path::new("out.HTML"), &["html"]).is_ok());
        assert!(check_ending("--report", Path::new("out"), &["html"]).is_err());
        let folder = tempfile::tempdir().unwrap();
        let error = Outputs::default().file("--out", Some(folder.path()), &[]).unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
    }
}
