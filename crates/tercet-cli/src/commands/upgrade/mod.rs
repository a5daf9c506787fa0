//! `tercet upgrade`: replaces the model of a gallery, if that is worth it.

mod apply;
mod findings;
mod measure;
mod order;
mod pairs;
mod pictures;
mod recommend;
mod staging;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tercet_gallery::{Error, ReadGallery};
use tercet_train::shell;

use super::gallery::lock::Waiting;
use super::gallery::model::Chosen;
use crate::exit::Usage;
use crate::{General, interrupt};
use apply::Work;
use pictures::Pictures;
use recommend::Action;
use staging::Staging;

#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// Folder of the gallery.
    gallery: String,
    /// The new model. Without --apply, it is measured and nothing is changed.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Do it: keep the stored vectors and search with the new model, map them by an adapter, or
    /// compute them again from the pictures (backfill).
    #[arg(long, value_enum, value_name = "keep|adapter|backfill", requires = "model")]
    apply: Option<Apply>,
    /// Where the pictures of the items are now; may be given again [default: where they were when
    /// they were added].
    #[arg(long, value_name = "SOURCE")]
    pictures: Vec<String>,
    /// What stands before the ids of the items of --pictures in the gallery.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "pictures")]
    prefix: String,
    /// Measure on the items of this source, whose classes no model was trained on [default: on items
    /// of the gallery].
    #[arg(long, value_name = "SOURCE")]
    measure: Option<String>,
    /// The model that made the gallery's vectors [default: the one that the gallery keeps].
    #[arg(long, value_name = "MODEL")]
    old: Option<PathBuf>,
    /// Discard an unfinished upgrade, or return to the version before the last one.
    #[arg(long, conflicts_with_all = ["model", "finish"])]
    rollback: bool,
    /// Remove the version before the last upgrade.
    #[arg(long, conflicts_with = "model")]
    finish: bool,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    waiting: Waiting,
}

/// What is done with the stored vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Apply {
    /// They stay as they are; queries are those of the new model.
    Keep,
    /// An adapter maps all of them.
    Adapter,
    /// The new model computes them again; where a picture does not exist any more, an adapter maps the
    /// vector.
    Backfill,
}

impl Apply {
    fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Adapter => "adapter",
            Self::Backfill => "backfill",
        }
    }
}

impl Upgrade {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        interrupt::watch()?;
        if tercet_gallery::is_database(&self.gallery) {
            bail!(Usage(format!(
                "{} is a database: `tercet upgrade` needs a gallery in a folder; create a new gallery with the new model beside it",
                tercet_gallery::shown(&self.gallery)
            )));
        }
        let reader = tercet_gallery::reader(&self.gallery)?;
        let staging = Staging::of(&self.gallery);
        // An upgrade that was killed after the switch has only its staged vectors left to remove.
        if staging.plan()?.is_some_and(|plan| plan.model == reader.settings().model) {
            staging.discard()?;
        }
        if self.rollback {
            return self.roll_back(general, &staging);
        }
        if self.finish {
            self.waiting.writer(general, &self.gallery)?.finish_upgrade()?;
            let document = json!({ "gallery": self.gallery, "finished": true });
            super::print(general, &document, || {
                format!("{} holds its present version only", self.gallery)
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(path) = &self.model else { return self.show(general, &*reader, &staging) };
        let new = Chosen::load(path)?;
        if new.model.fingerprint == reader.settings().model {
            bail!(Usage(format!(
                "{} is the model of {} already: there is nothing to upgrade",
                path.display(),
                self.gallery
            )));
        }
        match self.apply {
            None => self.report(general, &*reader, &new, path),
            Some(apply) => self.carry_out(general, &*reader, &staging, &new, apply),
        }
    }

    /// Measures and recommends.
    fn report(
        &self,
        general: &General,
        reader: &dyn ReadGallery,
        new: &Chosen,
        path: &Path,
    ) -> anyhow::Result<ExitCode> {
        let pictures =
            Pictures::find(general, reader, &self.gallery, &self.pictures, &self.prefix)?;
        let findings = self.findings(general, reader, &pictures, &new.model)?;
        let mut document = json!({
            "gallery": self.gallery,
            "items": findings.pictures.found + findings.pictures.missing,
            "old_model": findings.old_model,
            "new_model": new.model.fingerprint,
            "compatible": new.model.card.compatible,
            "pictures": findings.pictures,
            "measured_on": self.measure.as_deref().unwrap_or("gallery"),
            "recommendation": findings.recommendation,
        });
        if let (Some(document), serde_json::Value::Object(measured)) =
            (document.as_object_mut(), json!(findings.measured))
        {
            document.extend(measured);
        }
        super::print(general, &document, || {
            let command = |apply: Apply| {
                let mut words = vec!["tercet".to_owned(), "upgrade".to_owned()];
                words.extend(self.words(path));
                words.extend(["--apply".to_owned(), apply.name().to_owned()]);
                shell::command(words)
            };
            let next = match findings.recommendation.action {
                Action::Keep => Some(command(Apply::Keep)),
                Action::Adapter => Some(command(Apply::Adapter)),
                Action::Backfill => Some(command(Apply::Backfill)),
                Action::Refuse => None,
            };
            text::findings(&findings, self.measure.as_deref(), next.as_deref())
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Computes or maps the new vectors and switches to them.
    fn carry_out(
        &self,
        general: &General,
        reader: &dyn ReadGallery,
        staging: &Staging,
        new: &Chosen,
        apply: Apply,
    ) -> anyhow::Result<ExitCode> {
        if reader.info()?.previous_model.is_some() {
            return Err(Error::HasPrevious { location: self.gallery.clone() }.into());
        }
        let pictures =
            Pictures::find(general, reader, &self.gallery, &self.pictures, &self.prefix)?;
        let plan = match staging.plan_for(&self.gallery, &new.model.fingerprint, apply)? {
            Some(plan) => plan,
            None => {
                let plan = self.plan(general, reader, &pictures, new, apply)?;
                staging.begin(&plan)?;
                plan
            }
        };
        let work = Work { general, upgrade: self, reader, new, pictures: &pictures, plan: &plan };
        let applied = work.apply(staging)?;
        let mut document = json!({
            "gallery": self.gallery,
            "new_model": new.model.fingerprint,
            "old_model": reader.settings().model,
        });
        if let (Some(document), serde_json::Value::Object(applied)) =
            (document.as_object_mut(), json!(applied))
        {
            document.extend(applied);
        }
        super::print(general, &document, || text::applied(&applied, &self.gallery))?;
        Ok(ExitCode::SUCCESS)
    }

    fn roll_back(&self, general: &General, staging: &Staging) -> anyhow::Result<ExitCode> {
        let mut writer = self.waiting.writer(general, &self.gallery)?;
        let discarded = staging.exists();
        staging.discard()?;
        let restored = match writer.roll_back() {
            Err(Error::NoPrevious { .. }) if discarded => None,
            restored => Some(restored?),
        };
        let info = tercet_gallery::reader(&self.gallery)?.info()?;
        if restored.is_some() {
            writer.measure_codes()?;
        }
        let document = json!({
            "gallery": self.gallery,
            "model": info.settings.model,
            "discarded": discarded,
            "rolled_back": restored.is_some(),
        });
        super::print(general, &document, || match restored {
            Some(_) => format!("{} is back at the model {}", self.gallery, info.settings.model),
            None => format!(
                "the unfinished upgrade of {} was discarded; the gallery is unchanged",
                self.gallery
            ),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Shows whether an upgrade is unfinished.
    fn show(
        &self,
        general: &General,
        reader: &dyn ReadGallery,
        staging: &Staging,
    ) -> anyhow::Result<ExitCode> {
        let info = reader.info()?;
        let plan = staging.plan()?;
        let ready = match &plan {
            Some(_) => tercet_gallery::reader(&staging.vectors())
                .and_then(|staged| Ok(staged.info()?.items))
                .unwrap_or(0),
            None => 0,
        };
        let document = json!({
            "gallery": self.gallery,
            "model": info.settings.model,
            "items": info.items,
            "carried": info.carried,
            "previous_model": info.previous_model,
            "unfinished": plan.as_ref().map(|plan| json!({
                "apply": plan.apply, "model": plan.model, "ready": ready,
            })),
        });
        super::print(general, &document, || {
            text::state(&info, plan.as_ref().map(|plan| (plan, ready)), &self.gallery)
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// The arguments that say which gallery and which model, and where the pictures are.
    fn words(&self, model: &Path) -> Vec<String> {
        let mut words = vec![self.gallery.clone()];
        words.extend(["--model".to_owned(), model.display().to_string()]);
        for pictures in &self.pictures {
            words.extend(["--pictures".to_owned(), pictures.clone()]);
        }
        for (flag, value) in
            [("--prefix", Some(&self.prefix)), ("--measure", self.measure.as_ref())]
        {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                words.extend([flag.to_owned(), value.clone()]);
            }
        }
        if let Some(old) = &self.old {
            words.extend(["--old".to_owned(), old.display().to_string()]);
        }
        words
    }

    /// The command that continues.
    fn again(&self) -> String {
        let mut words = vec!["tercet".to_owned(), "upgrade".to_owned()];
        words.extend(self.words(self.model.as_deref().unwrap_or(Path::new("MODEL"))));
        if let Some(apply) = self.apply {
            words.extend(["--apply".to_owned(), apply.name().to_owned()]);
        }
        shell::command(words)
    }
}
