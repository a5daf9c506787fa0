//! Named tensors of a `.safetensors` or a PyTorch file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Seek;
use std::path::{Path, PathBuf};

use burn::store::pytorch_reader::{DType, PytorchReader};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::PretrainedError;
use super::flat_names::renamed;
use crate::files::At;
use crate::fingerprint::Fingerprint;
use crate::{reading, safetensors_head};

/// The weights in a file, by name.
#[derive(Debug)]
pub struct StateDict {
    pub(super) path: PathBuf,
    pub(super) tensors: BTreeMap<String, Weights>,
    /// A hash of names, shapes and values.
    pub fingerprint: String,
}

/// A tensor, with its values in the encoding of the file.
pub(super) struct Weights {
    pub(super) shape: Vec<usize>,
    kind: Kind,
    bytes: Vec<u8>,
}

/// The encoding of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    /// Integers, which are not weights.
    Whole,
}

impl StateDict {
    /// Reads a file, whose format is recognised by its first bytes. The code in a PyTorch file is
    /// never run: its pickle is parsed, and only tensors are taken from it.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of another kind.
    pub fn read(path: &Path) -> Result<Self, PretrainedError> {
        let action = "read the pretrained weights";
        if path == Path::new("imagenet") && !path.exists() {
            return Err(PretrainedError::NotAFile);
        }
        let (mut file, length) = reading::open(path).at(action, path)?;
        let start = reading::first_bytes(&mut file, 1024).at(action, path)?;
        if start.get(8) == Some(&b'{') {
            file.rewind().at(action, path)?;
            let head = safetensors_head::metadata(&mut file, length).at(action, path)?;
            head.map_err(|reason| not_weights(path, &reason))?;
        }
        let tensors = match start.get(8) {
            Some(b'{') => from_safetensors(path)?,
            _ => from_pytorch(path)?,
        };
        let tensors = renamed(tensors);
        let mut read = Self { path: path.to_owned(), tensors, fingerprint: String::new() };
        if read.tensors.is_empty() {
            return Err(read.damaged("it holds no tensors"));
        }
        let mut hash = Fingerprint::new();
        for (name, weights) in &read.tensors {
            hash.bytes(name.as_bytes());
            weights.shape.iter().for_each(|&side| hash.number(side as u64));
            hash.bytes(&weights.bytes);
        }
        read.fingerprint = hash.hex();
        Ok(read)
    }

    /// The values of a weight in single precision; none if the file has no such weight, or if its
    /// values are not numbers.
    pub fn get(&self, name: &str) -> Option<Vec<f32>> {
        self.tensors.get(name)?.values().ok()
    }

    pub(super) fn damaged(&self, reason: &str) -> PretrainedError {
        not_weights(&self.path, reason)
    }
}

impl Weights {
    /// The values in single precision. The error says what is wrong with them.
    pub(super) fn values(&self) -> Result<Vec<f32>, String> {
        let bytes = &self.bytes;
        let values: Vec<f32> = match self.kind {
            Kind::F16 => numbers(bytes, |number| f16::from_le_bytes(number).to_f32()),
            Kind::Bf16 => numbers(bytes, |number| bf16::from_le_bytes(number).to_f32()),
            Kind::F32 => numbers(bytes, f32::from_le_bytes),
            Kind::F64 => numbers(bytes, |number| f64::from_le_bytes(number) as f32),
            Kind::Whole => return Err("its weights are whole numbers".to_owned()),
        };
        let expected: usize = self.shape.iter().product();
        if values.len() != expected {
            return Err(format!("a tensor has {} numbers, its shape {expected}", values.len()));
        }
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err("it has weights that are not finite".to_owned()),
        }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind, self.shape)
    }
}

fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&number| read(number)).collect()
}

fn not_weights(path: &Path, reason: &str) -> PretrainedError {
    PretrainedError::NotWeights { path: path.to_owned(), reason: reason.to_owned() }
}

fn from_safetensors(path: &Path) -> Result<BTreeMap<String, Weights>, PretrainedError> {
    let bytes = reading::read(path).at("read the pretrained weights", path)?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|error| not_weights(path, &error.to_string()))?;
    Ok(file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::F16 => Kind::F16,
                Dtype::BF16 => Kind::Bf16,
                Dtype::F32 => Kind::F32,
                Dtype::F64 => Kind::F64,
                _ => Kind::Whole,
            };
            let (shape, bytes) = (view.shape().to_vec(), view.data().to_vec());
            (name, Weights { shape, kind, bytes })
        })
        .collect())
}

fn from_pytorch(path: &Path) -> Result<BTreeMap<String, Weights>, PretrainedError> {
    let refuse = |error: &dyn fmt::Display| {
        not_weights(path, &format!("{error}; expected .safetensors, or a .pth of torch.save"))
    };
    let tensors = PytorchReader::new(path).map_err(|error| refuse(&error))?.into_tensors();
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let kind = match tensor.dtype() {
                DType::F16 => Kind::F16,
                DType::BF16 => Kind::Bf16,
                DType::F32 => Kind::F32,
                DType::F64 => Kind::F64,
                _ => Kind::Whole,
            };
            let bytes = tensor.read().map_err(|error| refuse(&error))?;
            Ok((name, Weights { shape: tensor.shape().to_vec(), kind, bytes }))
        })
        .collect()
}
