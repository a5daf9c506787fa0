//! The folder of a run: configuration, metrics, checkpoints, report and model. Only one process at
//! a time uses it.

mod checkpoint;
mod lock;
mod metric_lines;
mod metrics;
mod stored;
mod summary;
mod tensorboard;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{TrainConfig, TrainError};
use crate::files::{At, remove_leftovers, write_atomically};
use lock::RunLock;
use stored::Stored;

pub(super) use checkpoint::{CONFIG as CONFIG_COPY, Checkpoint};
pub use metric_lines::{CollapseLine, JudgedLine, JudgedOn, Line, StepLine};
pub(super) use metrics::Metrics;
pub use summary::{Progress, RunSummary};

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const MODEL: &str = "model.safetensors";
const REPORT: &str = "report.html";
const CHECKPOINTS: &str = "checkpoints";
const EVENTS: &str = "tensorboard";

/// A run's folder, locked until this value is dropped.
///
/// If the folder is new and no run has begun in it by then, it is removed again, so that a failed
/// start leaves nothing behind.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The configuration and the start time of an earlier run that is resumed.
    earlier: Option<Stored>,
    /// The start time of a new run.
    begun: SystemTime,
    /// Whether a resumed run was given another number of steps.
    more: bool,
    /// None if the folder is only named.
    lock: Option<RunLock>,
    /// The folders that were created for this run, outermost first.
    made: Vec<PathBuf>,
}

impl RunFolder {
    /// Creates the folder of a new run if it does not exist, and locks it.
    ///
    /// # Errors
    /// A folder that holds a run or files with the names that a run writes; one that another
    /// process is using; one that cannot be created.
    pub fn fresh(path: &Path) -> Result<Self, TrainError> {
        let mut run = Self::only_named(path);
        run.make(path)?;
        run.lock = Some(RunLock::acquire(path)?);
        run.remove_leftovers();
        run.refuse_taken()?;
        Ok(run)
    }

    /// Claims and locks the first free folder of `base/NAME-1`, `base/NAME-2` and so on. Processes
    /// that call this at the same time get different folders.
    ///
    /// # Errors
    /// A folder that cannot be created.
    pub fn next(base: &Path, name: &str) -> Result<Self, TrainError> {
        let mut number = 1_u64;
        loop {
            let path = base.join(format!("{name}-{number}"));
            match Self::claim(base, &path) {
                Ok(Some(run)) => return Ok(run),
                Ok(None) => number += 1,
                // Another process gave up the folder at this moment: try the same number again.
                Err(error) if error.is_not_found() && !path.exists() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Claims this folder if it is new, or if it contains only what a process that was killed at
    /// its start leaves; none if it is taken.
    fn claim(base: &Path, path: &Path) -> Result<Option<Self>, TrainError> {
        let mut run = Self::only_named(path);
        run.make(base)?;
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !has_no_run(path) {
                    return Ok(None);
                }
            }
            Err(error) => Err(error).at("make the folder", path)?,
        }
        match RunLock::acquire(path) {
            Ok(lock) => run.lock = Some(lock),
            Err(TrainError::RunInUse { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        run.remove_leftovers();
        run.made.push(path.to_owned());
        // Before this process held the lock, a run may have begun and ended there.
        if !has_no_run(path) {
            run.made.clear();
            return Ok(None);
        }
        Ok(Some(run))
    }

    /// Names a folder without creating or locking it: nothing can be written there.
    pub(super) fn only_named(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            earlier: None,
            begun: SystemTime::now(),
            more: false,
            lock: None,
            made: Vec::new(),
        }
    }

    /// Creates a folder and its missing parents, and records which were created.
    fn make(&mut self, path: &Path) -> Result<(), TrainError> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        fs::create_dir_all(path).at("make the folder", path)?;
        self.made.extend(missing.into_iter().rev().map(Path::to_owned));
        Ok(())
    }

    fn refuse_taken(&self) -> Result<(), TrainError> {
        if self.has_begun() || !Checkpoint::list(&self.checkpoints())?.is_empty() {
            return Err(TrainError::RunExists(self.path.clone()));
        }
        let names = [METRICS, MODEL, REPORT, CHECKPOINTS, EVENTS];
        match names.into_iter().find(|name| self.path.join(name).exists()) {
            // An interrupted start may have left the empty folder of the checkpoints.
            Some(CHECKPOINTS) if fs::remove_dir(self.checkpoints()).is_ok() => self.refuse_taken(),
            Some(name) => Err(TrainError::FolderTaken { path: self.path.clone(), name }),
            None => Ok(()),
        }
    }

    /// Whether a run has begun here, so that it can be resumed.
    pub fn has_begun(&self) -> bool {
        self.config_file().exists()
    }

    /// Writes `config.toml` of a new run, or its changed version if a run is resumed with more
    /// steps.
    pub(super) fn begin(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let stored = match &self.earlier {
            None => Stored { config: config.clone(), begun: Some(self.begun) },
            Some(earlier) if earlier.config.steps == config.steps => return Ok(()),
            Some(earlier) => {
                let config = TrainConfig { steps: config.steps, ..earlier.config.clone() };
                Stored { config, begun: earlier.begun }
            }
        };
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).at("make the folder", &checkpoints)?;
        let file = self.config_file();
        Ok(write_atomically(&file, self.text(&stored)?.as_bytes())?)
    }

    fn text(&self, stored: &Stored) -> Result<String, TrainError> {
        stored.text().map_err(|reason| TrainError::BadRun { path: self.config_file(), reason })
    }

    /// Gives a resumed run another number of steps than its configuration has.
    pub fn extend(&mut self, config: &mut TrainConfig, steps: u64) {
        config.steps = steps;
        self.more = true;
    }

    /// The number of steps before [`extend`](Self::extend); none if it was not called.
    pub(super) fn extended(&self) -> Option<u64> {
        self.earlier.as_ref().filter(|_| self.more).map(|earlier| earlier.config.steps)
    }

    /// The text of the configuration that a checkpoint stores.
    pub(super) fn config_text(&self, config: &TrainConfig) -> Result<String, TrainError> {
        let begun = self.earlier.as_ref().map_or(Some(self.begun), |earlier| earlier.begun);
        self.text(&Stored { config: config.clone(), begun })
    }

    /// Opens and locks the folder of an earlier run, removes the leftovers of killed processes, and
    /// reads the configuration.
    ///
    /// # Errors
    /// A folder without a run; one that another process is using; a `config.toml` that is
    /// incomplete or cannot be understood.
    pub fn open(path: &Path) -> Result<(Self, TrainConfig), TrainError> {
        let mut run = Self::only_named(path);
        let has_checkpoints = !Checkpoint::list(&run.checkpoints())?.is_empty();
        if !run.has_begun() && !has_checkpoints {
            return Err(TrainError::NoRun(path.to_owned()));
        }
        run.lock = Some(RunLock::acquire(path)?);
        run.remove_leftovers();
        let file = run.config_file();
        let text = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(run.bad_config("it is missing".to_owned()));
            }
            read => read.at("read", &file)?,
        };
        let text = String::from_utf8(text).map_err(|_| run.bad_config("it is no text".to_owned()));
        let stored = Stored::parse(&text?).map_err(|reason| run.bad_config(reason))?;
        let config = stored.config.clone();
        run.earlier = Some(stored);
        Ok((run, config))
    }

    /// Removes the temporary files and folders that killed processes left. Since this process holds
    /// the lock, no running process is writing there.
    fn remove_leftovers(&self) {
        let files =
            [self.config_file(), self.metrics_file(), self.model_file(), self.report_file()];
        files.iter().for_each(|file| remove_leftovers(file));
        metrics::remove_leftovers(&self.path.join(EVENTS));
        checkpoint::remove_leftovers(&self.checkpoints());
    }

    fn bad_config(&self, reason: String) -> TrainError {
        TrainError::BadConfig { path: self.config_file(), reason, copy: self.newest_config() }
    }

    /// The copy of the configuration in the newest intact checkpoint that has one.
    fn newest_config(&self) -> Option<PathBuf> {
        let all = Checkpoint::list(&self.checkpoints()).ok()?;
        let copy = |path: &PathBuf| {
            let is_whole = Checkpoint::read(path).is_ok_and(|read| read.config().is_some());
            is_whole.then(|| path.join(checkpoint::CONFIG))
        };
        all.iter().rev().find_map(|(_, path)| copy(path))
    }

    /// Refuses a checkpoint that was written with a different configuration.
    fn check_config(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let (Some(earlier), Some(text)) = (&self.earlier, checkpoint.config()) else {
            return Ok(());
        };
        let then = Stored::parse(text)
            .map_err(|reason| TrainError::BadRun { path: self.checkpoints(), reason })?;
        match stored::differences(&earlier.config, &then.config).into_iter().next() {
            None => Ok(()),
            Some((key, now, then)) => Err(TrainError::ConfigChanged {
                path: self.config_file(),
                key,
                now,
                then,
                copy: self.newest_config(),
            }),
        }
    }

    /// Whether this process has locked the folder, so that it may write there.
    pub(super) fn is_ours(&self) -> bool {
        self.lock.is_some()
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the trained model.
    pub fn model_file(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The path of the report.
    pub fn report_file(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    fn metrics_file(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Tries the checkpoints of a resumed run, newest first, until `restore` accepts one. Those
    /// that cannot be used are reported to `warn`. None if the run is new or has no checkpoint yet.
    ///
    /// # Errors
    /// Checkpoints exist, but none can be used: starting over would lose their work. Data, a start
    /// model or a configuration that changed since.
    pub(super) fn restore_newest<T>(
        &self,
        restore: impl Fn(Checkpoint) -> Result<T, TrainError>,
        warn: &dyn Fn(String),
    ) -> Result<Option<T>, TrainError> {
        if self.earlier.is_none() {
            return Ok(None);
        }
        let all = Checkpoint::list(&self.checkpoints())?;
        for (_, path) in all.iter().rev() {
            let read = Checkpoint::read(path).and_then(|checkpoint| {
                self.check_config(&checkpoint)?;
                restore(checkpoint)
            });
            match read {
                Ok(restored) => return Ok(Some(restored)),
                Err(error) if error.is_about_the_run() => return Err(error),
                Err(error) => warn(format!("{error}; trying the checkpoint before")),
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        Err(TrainError::BadRun {
            path: self.checkpoints(),
            reason: format!("none of its {} checkpoints can be read", all.len()),
        })
    }

    /// The checkpoint of a step, if it exists and can be read.
    pub(super) fn checkpoint_of(&self, step: u64) -> Option<Checkpoint> {
        let all = Checkpoint::list(&self.checkpoints()).ok()?;
        let (_, path) = all.into_iter().find(|(at, _)| *at == step)?;
        Checkpoint::read(&path).ok()
    }

    /// Removes a new folder in which no run has begun, and those that were created for it, if they
    /// are empty. Call it before the process exits without dropping this value.
    pub fn give_up(&self) {
        if self.earlier.is_some() || self.lock.is_none() || self.has_begun() {
            return;
        }
        // Folders that contain anything else are left, because removing them fails.
        let _ = fs::remove_dir(self.checkpoints());
        let _ = fs::remove_file(self.path.join(lock::NAME));
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Whether a folder is empty except for what a process that was killed at its start leaves.
fn has_no_run(folder: &Path) -> bool {
    let is_left = |entry: fs::DirEntry| match entry.file_name().to_str() {
        Some(lock::NAME) => true,
        Some(CHECKPOINTS) => fs::read_dir(entry.path()).is_ok_and(|mut all| all.next().is_none()),
        Some(name) => name.starts_with("config.toml.") && name.ends_with(".tmp"),
        None => false,
    };
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().all(is_left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_run_at_a_time_and_a_failed_start_leaves_nothing() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("deep/runs");
        let one = RunFolder::next(&runs, "a").unwrap();
        let two = RunFolder::next(&runs, "a").unwrap();
        assert_eq!((one.path(), two.path()), (&*runs.join("a-1"), &*runs.join("a-2")));
        let error = RunFolder::fresh(one.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        one.begin(&TrainConfig::default()).unwrap();
        drop(two);
        assert!(!runs.join("a-2").exists());
        drop(one);
        assert!(matches!(
            RunFolder::fresh(&runs.join("a-1")).unwrap_err(),
            TrainError::RunExists(_)
        ));
        let (run, config) = RunFolder::open(&runs.join("a-1")).unwrap();
        assert_eq!(config, TrainConfig::default());
        let error = RunFolder::open(run.path()).unwrap_err();
        assert!(matches!(error, TrainError::RunInUse { .. }), "{error}");
        drop(run);
        assert!(runs.join("a-1").exists());

        // A folder with the leftovers of a process that was killed at its start is used.
        fs::create_dir(runs.join("a-2")).unwrap();
        fs::write(runs.join("a-2").join(lock::NAME), "7\n").unwrap();
        fs::write(runs.join("a-2/config.toml.4000000000.tmp"), "").unwrap();
        fs::create_dir(runs.join("a-2").join(CHECKPOINTS)).unwrap();
        let two = RunFolder::next(&runs, "a").unwrap();
        assert_eq!(two.path(), runs.join("a-2"));
        assert!(!two.path().join("config.toml.4000000000.tmp").exists());
    }

    #[test]
    fn simultaneous_starts_get_different_folders() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("runs");
        for _ in 0..20 {
            let folders: Vec<RunFolder> = std::thread::scope(|scope| {
                let start = || scope.spawn(|| RunFolder::next(&runs, "a").unwrap());
                let starts: Vec<_> = (0..8).map(|_| start()).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            let paths: std::collections::BTreeSet<_> =
                folders.iter().map(|folder| folder.path().to_owned()).collect();
            assert_eq!(paths.len(), 8);
        }
        let left = fs::read_dir(&runs).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing began, so nothing stays");
    }

    #[test]
    fn other_files_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        drop(RunFolder::fresh(folder.path()).unwrap());
        fs::write(folder.path().join(MODEL), "mine").unwrap();
        let error = RunFolder::fresh(folder.path()).unwrap_err().to_string();
        assert!(error.contains(MODEL) && error.contains("--run"), "{error}");
        assert!(!folder.path().join(lock::NAME).exists());
    }
}
