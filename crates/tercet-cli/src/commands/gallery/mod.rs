//! `tercet gallery`: stores embeddings in a folder or a database, and searches them.

mod add;
mod backup;
mod codes;
mod compact;
mod create;
mod filling;
mod index;
mod info;
pub(crate) mod lock;
pub(crate) mod model;
pub(crate) mod noted;
mod remove;
mod search;
#[cfg(feature = "serve")]
pub(crate) mod synced;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::General;

#[derive(Debug, Args)]
pub(crate) struct Gallery {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a gallery of the items of a source.
    Create(Box<create::Create>),
    /// Add the items of a source; those that are there stay as they are.
    Add(Box<add::Add>),
    /// Remove items.
    Remove(remove::Remove),
    /// Find the nearest items of pictures, embeddings or other items.
    Search(search::Search),
    /// What a gallery holds.
    Info(info::Info),
    /// Free the space of removed items, and overwrite what is left of them.
    Compact(compact::Compact),
    /// Copy a gallery that may be in use into a new folder.
    Backup(backup::Backup),
}

impl Gallery {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Create(create) => create.run(general),
            Action::Add(add) => add.run(general),
            Action::Remove(remove) => remove.run(general),
            Action::Search(search) => search.run(general),
            Action::Info(info) => info.run(general),
            Action::Compact(compact) => compact.run(general),
            Action::Backup(backup) => backup.run(general),
        }
    }
}
