//! The files of a backbone as tensors of bytes in a model file.

use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::ModelError;
use super::backbone::Files;

/// The start of the names of tensors that are files of a backbone.
const BACKBONE: &str = "backbone/";

/// The content of a safetensors file with the files of a backbone as further tensors.
pub(super) fn pack(bytes: &[u8], files: &Files) -> Result<Vec<u8>, String> {
    let reason = |error: safetensors::SafeTensorError| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(reason)?;
    let own = SafeTensors::deserialize(bytes).map_err(reason)?;
    let mut tensors = own.tensors();
    for (name, content) in files {
        let view = TensorView::new(Dtype::U8, vec![content.len()], content).map_err(reason)?;
        tensors.push((format!("{BACKBONE}{name}"), view));
    }
    safetensors::serialize(tensors, header.metadata().clone()).map_err(reason)
}

/// The files of the backbone in a model file, and the content of a file without them.
pub(super) fn unpack(bytes: &[u8], path: &Path) -> Result<(Files, Vec<u8>), ModelError> {
    let refuse = |error: safetensors::SafeTensorError| ModelError::NotAModel {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
    let all = SafeTensors::deserialize(bytes).map_err(refuse)?;
    let is_file = |name: &str| name.starts_with(BACKBONE);
    let (files, weights): (Vec<_>, Vec<_>) =
        all.tensors().into_iter().partition(|(name, _)| is_file(name));
    let content = |(name, view): (String, TensorView<'_>)| {
        (name[BACKBONE.len()..].to_owned(), view.data().to_vec())
    };
    let weights = safetensors::serialize(weights, header.metadata().clone()).map_err(refuse)?;
    Ok((files.into_iter().map(content).collect(), weights))
}
