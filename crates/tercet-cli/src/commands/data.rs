//! `tercet data`: lists, inspects and previews sources.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use tercet_train::data::{
    Augmentation, Filter, Fit, LabelFrom, Pixels, PrepareOptions, Preprocessing, Source, Survey,
};
use tercet_train::trainer::ImageSize;
use tercet_train::{files, thumbnails};

use crate::outputs::Outputs;
use crate::{General, interrupt, progress};

#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum Look {
    /// The kinds of sources.
    List,
    /// What a source holds: classes, items, sizes, problems.
    Info {
        /// `kind:PATH`, or a path whose kind is recognised.
        source: String,
        /// For vectors without labels: `.npy` of integers or texts, or text with one label on each
        /// line.
        #[arg(long)]
        labels: Option<PathBuf>,
        /// Take the class from the names of the files in a folder: a regular expression with one
        /// group, such as '^(\d+)_'. With a `/` in it, it is matched with the path in the folder.
        #[arg(long, value_name = "REGEX")]
        label_from: Option<LabelFrom>,
    },
    /// A picture of what training sees: items as they are, and changed by `--augment`.
    Preview(Preview),
}

#[derive(Debug, Args)]
struct Preview {
    /// `kind:PATH`, or a path whose kind is recognised.
    source: String,
    /// Take the class from the names of the files in a folder: a regular expression with one group,
    /// such as '^(\d+)_'. With a `/` in it, it is matched with the path in the folder.
    #[arg(long, value_name = "REGEX")]
    label_from: Option<LabelFrom>,
    /// As in `tercet train`: none, glyph, photo, reid, with changes such as glyph:rotate=20
    /// [default: what suits the source].
    #[arg(long, value_name = "PRESET[:NAME=X,…]")]
    augment: Option<Augmentation>,
    /// The picture to write.
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
    /// How many items, drawn by the seed, a row each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    items: u32,
    /// How many changed copies of each.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=100))]
    copies: u32,
    /// Side of the square image that enters the encoder, or height x width [default: the source's].
    #[arg(long, value_name = "PIXELS|HxW")]
    size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB) [default: the source's].
    #[arg(long)]
    channels: Option<u32>,
    /// How images of another shape are brought to the square: crop, pad, stretch.
    #[arg(long, default_value_t)]
    fit: Fit,
    /// How images are resampled: nearest, box, bilinear, catmull-rom, lanczos3.
    #[arg(long, default_value_t)]
    filter: Filter,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Serialize)]
struct Previewed {
    out: PathBuf,
    augment: Augmentation,
    items: Vec<String>,
}

impl Preview {
    fn run(self, general: &General) -> anyhow::Result<()> {
        let source = super::source(&self.source, None, self.label_from.as_ref())?;
        let outputs = Outputs::default().file("--out", Some(&self.out), &["png"])?;
        outputs.differ_from_source(&source)?;
        let catalogue = source.catalogue()?.training()?;
        outputs.differ_from_items(&catalogue)?;
        let items = chosen(catalogue.len(), self.items, self.seed);
        let catalogue = catalogue.select(&items);
        let items: Vec<u32> = (0..items.len() as u32).collect();
        let (height, width, channels) = source.default_input();
        let ImageSize { height, width } = self.size.unwrap_or(ImageSize { height, width });
        let channels = self.channels.unwrap_or(channels);
        let preprocessing = Preprocessing {
            fit: self.fit,
            filter: self.filter,
            ..Preprocessing::new(width, height, channels)
        };
        let (pixels, _) =
            Pixels::prepare(catalogue, &preprocessing, &PrepareOptions::default(), &|_, _| {})?;
        let augment = self.augment.unwrap_or_else(|| source.default_augmentation());
        let picture = thumbnails::changed(&pixels, &items, &augment, self.seed, self.copies)?;
        files::write_atomically(&self.out, &picture)?;
        let ids = pixels.catalogue().items.iter().map(|item| item.id.clone()).collect();
        let done = Previewed { out: self.out, augment, items: ids };
        super::print(general, &done, || {
            format!("{}: {} items, augmented by {}", done.out.display(), done.items.len(), augment)
        })
    }
}

/// `count` of the numbers below `all`, in ascending order and at even distances; the seed
/// determines where they start.
fn chosen(all: usize, count: u32, seed: u64) -> Vec<u32> {
    let count = all.min(count as usize);
    let start = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
    let mut chosen: Vec<u32> =
        (0..count).map(|place| ((start + place * all / count) % all) as u32).collect();
    chosen.sort_unstable();
    chosen
}

#[derive(Serialize)]
struct Listed {
    source: &'static str,
    what: &'static str,
}

impl Data {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        match self.look {
            Look::List => {
                let kinds: Vec<Listed> = Source::KINDS
                    .iter()
                    .map(|kind| Listed { source: kind.usage, what: kind.what })
                    .collect();
                super::print(general, &kinds, || {
                    let lines =
                        kinds.iter().map(|kind| format!("{:<15} {}", kind.source, kind.what));
                    lines.collect::<Vec<_>>().join("\n")
                })?;
            }
            Look::Preview(preview) => preview.run(general)?,
            Look::Info { source, labels, label_from } => {
                let source = super::source(&source, labels.as_deref(), label_from.as_ref())?;
                let catalogue = source.catalogue()?;
                let bar = progress::bar(general, "reading", catalogue.len());
                let stop = interrupt::watch()?;
                let survey =
                    Survey::of(&catalogue, Some(stop), &|done, _| bar.set_position(done as u64));
                bar.finish_and_clear();
                let survey = survey?;
                super::print(general, &survey, || survey.to_string().trim_end().to_owned())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
