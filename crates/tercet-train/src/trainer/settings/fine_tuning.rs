//! Settings of a run that starts from pretrained weights.

use std::path::Path;

use tercet::ParameterError;

use super::{ImageSize, TrainConfig};
use crate::data::Source;
use crate::encoder::InputShape;
use crate::pretrained::{Published, SIDE};

/// The learning rate of a pretrained body, as a share of the head's.
const BODY_SHARE: f64 = 0.1;

impl TrainConfig {
    /// The defaults of a run that starts from these weights: their encoder, images of
    /// [`SIDE`]×[`SIDE`] unless the source has a shape of its own, and a tenth of the learning rate
    /// for the body. Keys of `given`, which has priority over this configuration, decide where they
    /// are set.
    ///
    /// # Errors
    /// An encoder in `given` that does not have these weights.
    pub fn fine_tuning(
        self,
        weights: Published,
        path: &Path,
        given: &toml::Table,
    ) -> Result<Self, ParameterError> {
        let Published { encoder, network } = weights;
        let asked = given.get("encoder").and_then(toml::Value::as_str);
        if let Some(asked) = asked.filter(|&asked| asked != encoder) {
            return Err(ParameterError {
                parameter: "encoder",
                got: asked.to_owned(),
                expected: format!(
                    "{encoder}, since {} holds the weights of {network}",
                    path.display()
                ),
            });
        }
        // What cannot be read is reported later.
        let asked: Self = given.clone().try_into().unwrap_or_default();
        let source = self.source.parse::<Source>().ok().map(|source| source.default_input());
        let is_square = source.is_none_or(|(height, width, _)| height == width);
        Ok(Self {
            encoder: encoder.to_owned(),
            size: is_square.then_some(ImageSize { height: SIDE, width: SIDE }),
            backbone_learning_rate: Some(asked.learning_rate * BODY_SHARE),
            ..self
        })
    }

    /// What a run with pretrained weights uses, in a few words.
    pub(in crate::trainer) fn fine_tuning_summary(&self, input: InputShape) -> String {
        let size = ImageSize { height: input.height as u32, width: input.width as u32 };
        let body = self.backbone_learning_rate.unwrap_or(self.learning_rate);
        format!(
            "encoder {}, size {size}, learning rate {} of the head and {body} of the body",
            self.encoder, self.learning_rate
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_settings_have_priority() {
        let weights = Published { encoder: "mobilenet-v2", network: "torchvision's MobileNetV2" };
        let start = |source: &str, given: &str| {
            let given: toml::Table = given.parse().unwrap();
            let defaults = TrainConfig::suited_to(&source.parse().unwrap());
            let config = defaults.fine_tuning(weights, Path::new("x.pth"), &given)?;
            let mut merged = toml::Table::try_from(config).unwrap();
            merged.extend(given);
            Ok::<TrainConfig, ParameterError>(merged.try_into().unwrap())
        };
        let config = start("emoji", "").unwrap();
        assert_eq!(config.encoder, "mobilenet-v2");
        assert_eq!(config.size, Some(ImageSize { height: 160, width: 160 }));
        assert_eq!(config.learning_rate, 1e-3);
        assert!((config.backbone_learning_rate.unwrap() - 1e-4).abs() < 1e-12);
        let config = start("market1501:x", "learning-rate = 0.5").unwrap();
        assert_eq!((config.size, config.backbone_learning_rate), (None, Some(0.05)));
        let own = "size = \"96\"\nbackbone-learning-rate = 0.25\nencoder = \"mobilenet-v2\"";
        let config = start("emoji", own).unwrap();
        assert_eq!(config.size, Some(ImageSize { height: 96, width: 96 }));
        assert_eq!(config.backbone_learning_rate, Some(0.25));
        assert_eq!(
            start("emoji", "encoder = \"resnet18\"").unwrap_err().to_string(),
            "encoder is resnet18: expected mobilenet-v2, since x.pth holds the weights of \
             torchvision's MobileNetV2"
        );
    }
}
