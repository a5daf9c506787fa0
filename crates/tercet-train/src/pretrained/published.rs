//! The networks whose published weights an encoder can start from, and how they are recognised.

use super::{PretrainedError, StateDict, some};
use crate::encoder::EncoderConfig;

/// Mean of each channel of ImageNet's pixels, from 0 to 1, with which these weights were trained.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Standard deviation of each channel of ImageNet's pixels.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// (x − 127) / 128 for pixels from 0 to 255, as the authors of EfficientNet-Lite train.
const LITE_MEAN: [f32; 3] = [127.0 / 255.0; 3];
const LITE_STD: [f32; 3] = [128.0 / 255.0; 3];

/// Side of the images on which a run with pretrained weights trains unless it is given another one.
/// The weights were trained at 224; 160 takes half of the time.
pub const SIDE: u32 = 160;

/// The networks that can be read, in words.
const READABLE: &str = "the names of torchvision's ResNet-18, 34 or 50 (`layer1.0.conv1.weight`), \
     of its MobileNetV2 (`features.2.conv.0.0.weight`) or of EfficientNet-Lite0 \
     (`_conv_stem.weight`)";

/// Names by which other networks are recognised, so that a refusal can say what the file holds.
const OTHERS: [(&str, &str); 7] = [
    ("blocks.0.attn.qkv.weight", "a vision transformer of timm or DINOv2"),
    ("encoder.layers.encoder_layer_0.mlp.0.weight", "a vision transformer of torchvision"),
    ("encoder.layers.0.self_attn.q_proj.weight", "a transformer such as CLIP's"),
    ("transformer.resblocks.0.attn.in_proj_weight", "a transformer such as CLIP's"),
    ("conv_stem.weight", "a mobile network with timm's names"),
    ("features.1.0.block.0.0.weight", "an EfficientNet of torchvision"),
    ("features.1.block.0.0.weight", "a MobileNetV3 of torchvision"),
];

/// A network whose weights a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The name of the encoder that has these weights.
    pub encoder: &'static str,
    /// The network in words.
    pub network: &'static str,
}

impl StateDict {
    /// Recognises the network by the names of its weights.
    ///
    /// # Errors
    /// A network that no encoder corresponds to; the error says what the file holds.
    pub fn published(&self) -> Result<Published, PretrainedError> {
        let has = |name: &str| self.prefix(name).is_some();
        let resnet = |depth: &str| match depth {
            "18" => Published { encoder: "resnet18", network: "torchvision's ResNet-18" },
            "34" => Published { encoder: "resnet34", network: "torchvision's ResNet-34" },
            _ => Published { encoder: "resnet50", network: "torchvision's ResNet-50" },
        };
        let refuse = |found: String| {
            Err(PretrainedError::Unknown { path: self.path.clone(), found, expected: READABLE })
        };
        if has("layer1.0.conv1.weight") {
            let is_bottleneck = has("layer1.0.conv3.weight");
            return match () {
                () if has("layer3.6.conv1.weight") => {
                    refuse("a ResNet with more than 6 blocks in layer3, such as ResNet-101".into())
                }
                () if is_bottleneck => Ok(resnet("50")),
                () if has("layer1.2.conv1.weight") => Ok(resnet("34")),
                () => Ok(resnet("18")),
            };
        }
        if has("features.2.conv.0.0.weight") {
            let network = "torchvision's MobileNetV2";
            return Ok(Published { encoder: "mobilenet-v2", network });
        }
        if has("_conv_stem.weight") {
            return match has("_blocks.0._se_reduce.weight") || has("_blocks.16._bn1.weight") {
                true => refuse("an EfficientNet other than Lite0".to_owned()),
                false => {
                    let network = "EfficientNet-Lite0";
                    Ok(Published { encoder: "efficientnet-lite0", network })
                }
            };
        }
        if let Some((_, network)) = OTHERS.iter().find(|(name, _)| has(name)) {
            return refuse((*network).to_owned());
        }
        let names: Vec<_> = self.tensors.keys().map(|name| format!("`{name}`")).collect();
        refuse(some(&names))
    }
}

/// Mean and standard deviation of each channel, from 0 to 1, with which the published weights of an
/// encoder expect images to be standardised.
pub fn statistics(encoder: &EncoderConfig) -> ([f32; 3], [f32; 3]) {
    match encoder {
        EncoderConfig::EfficientNetLite0(_) => (LITE_MEAN, LITE_STD),
        _ => (MEAN, STD),
    }
}
