//! Tells from the names of its tensors which network a file of weights belongs to.

use std::path::Path;

use super::{PretrainedError, StateDict};
use crate::encoder::{EfficientNetLite0Config, EncoderConfig, MobileNetV2Config, ResNetDepth};

/// The name under which people ask for weights of ImageNet without having a file.
const IMAGENET: &str = "imagenet";

/// Names of tensors by which a network is recognised that is not supported, with its name.
const OTHERS: [(&str, &str); 9] = [
    ("visual.conv1.weight", "the vision tower of a CLIP model"),
    ("vision_model.embeddings.patch_embedding.weight", "the vision tower of a CLIP model"),
    ("blocks.0.attn.qkv.weight", "a Vision Transformer of timm or DINOv2"),
    ("encoder.layers.encoder_layer_0.ln_1.weight", "a Vision Transformer of torchvision"),
    ("layer3.6.conv3.weight", "a ResNet-101 or ResNet-152"),
    ("_blocks.0._se_reduce.weight", "an EfficientNet with squeeze-and-excitation"),
    ("features.1.0.block.0.0.weight", "an EfficientNet or ConvNeXt of torchvision"),
    ("features.28.weight", "a VGG"),
    ("conv_stem.weight", "a mobile network of timm"),
];

/// The names of the architectures into which weights can be loaded.
pub const ARCHITECTURES: [&str; 5] = [
    ResNetDepth::D18.name(),
    ResNetDepth::D34.name(),
    ResNetDepth::D50.name(),
    MobileNetV2Config::NAME,
    EfficientNetLite0Config::NAME,
];

/// Mean and standard deviation of each channel with which the published weights of an architecture
/// were trained: those of ImageNet's pixels, and (x − 127)/128 for EfficientNet-Lite.
pub fn statistics(architecture: &EncoderConfig) -> ([f32; 3], [f32; 3]) {
    match architecture {
        EncoderConfig::EfficientNetLite0(_) => ([127.0 / 255.0; 3], [128.0 / 255.0; 3]),
        _ => (super::MEAN, super::STD),
    }
}

/// The architecture to which the weights in a file belong.
///
/// # Errors
/// A file that cannot be read, or with weights of a network that is not supported; the error names
/// it, as far as it is known.
pub fn recognise(path: &Path) -> Result<&'static str, PretrainedError> {
    let weights = StateDict::read(path)?;
    weights.architecture().ok_or_else(|| {
        let found = match weights.other() {
            Some(other) => format!("it has weights of {other}"),
            None => format!(
                "it has {} tensors such as {}",
                weights.tensors.len(),
                super::some(
                    &weights.tensors.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>()
                )
            ),
        };
        PretrainedError::Unknown { path: path.to_owned(), found }
    })
}

impl StateDict {
    /// The architecture to which the weights belong, if it is known.
    pub(super) fn architecture(&self) -> Option<&'static str> {
        let has = |name: &str| self.has(name);
        if self.other().is_some() {
            return None;
        }
        if has("layer1.0.conv1.weight") && has("layer4.1.conv2.weight") {
            return Some(match (has("layer1.0.conv3.weight"), has("layer3.5.conv1.weight")) {
                (true, _) => ResNetDepth::D50.name(),
                (false, true) => ResNetDepth::D34.name(),
                (false, false) => ResNetDepth::D18.name(),
            });
        }
        if has("features.18.1.weight") && has("features.17.conv.2.weight") {
            return Some(MobileNetV2Config::NAME);
        }
        let is_lite0 = has("_conv_stem.weight")
            && has("_blocks.15._project_conv.weight")
            && !has("_blocks.16._project_conv.weight");
        is_lite0.then_some(EfficientNetLite0Config::NAME)
    }

    /// The name of a known network that is not supported.
    fn other(&self) -> Option<&'static str> {
        OTHERS.iter().find(|(name, _)| self.has(name)).map(|(_, network)| *network)
    }

    /// Whether there is a tensor of this name, with or without a prefix.
    fn has(&self, name: &str) -> bool {
        self.prefix(name).is_some()
    }
}

/// How to get the weights that somebody asked for by the name `imagenet`.
pub(super) fn advice(path: &Path) -> Option<String> {
    (path.as_os_str() == IMAGENET && !path.exists()).then(|| {
        "`imagenet` is no file: expected one with weights. Download \
         https://download.pytorch.org/models/mobilenet_v2-b0353104.pth (small and fast) or \
         https://download.pytorch.org/models/resnet50-0676ba61.pth, and name it: --pretrained \
         mobilenet_v2-b0353104.pth"
            .to_owned()
    })
}

/// The names of MobileNetV2's tensors as in torchvision, where a file has each block as one sequence of
/// convolutions, norms and activations: `features.2.conv.3.weight` becomes `features.2.conv.1.0.weight`.
/// Other names stay.
pub(super) fn nested(names: &mut [String]) {
    // In torchvision, `conv.3` is the last layer of a block.
    if !names.iter().any(|name| name.contains("features.2.conv.7.")) {
        return;
    }
    for name in names {
        let parts: Vec<&str> = name.split('.').collect();
        let Some(at) = parts.iter().position(|part| *part == "conv") else { continue };
        let (Some(block), Some(layer)) =
            (at.checked_sub(1).and_then(|before| parts.get(before)), parts.get(at + 1))
        else {
            continue;
        };
        // The first block has no layers that widen the map.
        let layer = match (*layer, *block == "1") {
            ("0", _) => "0.0",
            ("1", _) => "0.1",
            ("3", true) => "1",
            ("4", true) => "2",
            ("3", false) => "1.0",
            ("4", false) => "1.1",
            ("6", _) => "2",
            ("7", _) => "3",
            _ => continue,
        };
        *name = [&parts[..=at], &[layer], &parts[at + 2..]].concat().join(".");
    }
}
