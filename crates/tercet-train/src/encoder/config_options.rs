//! The options from which an encoder configuration was created.

use super::{
    EfficientNetLite0Config, EncoderConfig, EncoderOptions, InceptionSmallConfig, LinearHeadConfig,
    LuNetConfig, MlpHeadConfig, MobileNetV2Config, ResNetConfig, SmallCnnConfig,
};

impl EncoderConfig {
    /// The options from which [`EncoderConfig::named`] creates this configuration.
    pub fn options(&self) -> EncoderOptions {
        let none = EncoderOptions::default();
        match *self {
            Self::SmallCnn(SmallCnnConfig { width, depth, embedding_dim, pooling }) => {
                EncoderOptions {
                    width: Some(width),
                    depth: Some(depth),
                    embedding_dim: Some(embedding_dim),
                    pooling: Some(pooling),
                    ..none
                }
            }
            Self::LuNet(LuNetConfig { width, hidden, embedding_dim })
            | Self::ResNet18(ResNetConfig { width, hidden, embedding_dim })
            | Self::ResNet34(ResNetConfig { width, hidden, embedding_dim })
            | Self::ResNet50(ResNetConfig { width, hidden, embedding_dim }) => EncoderOptions {
                width: Some(width),
                hidden: Some(hidden),
                embedding_dim: Some(embedding_dim),
                ..none
            },
            Self::InceptionSmall(InceptionSmallConfig { width, embedding_dim })
            | Self::MobileNetV2(MobileNetV2Config { width, embedding_dim })
            | Self::EfficientNetLite0(EfficientNetLite0Config { width, embedding_dim }) => {
                EncoderOptions { width: Some(width), embedding_dim: Some(embedding_dim), ..none }
            }
            Self::LinearHead(LinearHeadConfig { embedding_dim }) => {
                EncoderOptions { embedding_dim: Some(embedding_dim), ..none }
            }
            Self::MlpHead(MlpHeadConfig { hidden, embedding_dim }) => {
                EncoderOptions { hidden: Some(hidden), embedding_dim: Some(embedding_dim), ..none }
            }
        }
    }
}
