//! The stages of an encoder's body, which can be excluded from training.

use std::fmt;
use std::str::FromStr;

use burn::module::ParamGroup;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tercet::ParameterError;

use super::EncoderConfig;

/// A stage of a network's body, which computes features of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Its name on the command line.
    pub name: &'static str,
    /// The paths of its modules, such as `layer1` or `features.0`.
    pub(super) modules: &'static [&'static str],
}

/// Stages that are not trained: the first ones, or some by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freeze {
    /// This many, from the input on.
    First(usize),
    /// Those with these names.
    Named(Vec<String>),
}

impl FromStr for Freeze {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(count) = text.parse() {
            return Ok(Self::First(count));
        }
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match names.iter().any(String::is_empty) {
            true => Err(format!("`{text}` is neither a number of stages nor names of some")),
            false => Ok(Self::Named(names)),
        }
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(count) => write!(f, "{count}"),
            Self::Named(names) => f.write_str(&names.join(",")),
        }
    }
}

impl Serialize for Freeze {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Freeze {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl EncoderConfig {
    /// The weights of the stages that are not trained.
    ///
    /// # Errors
    /// An architecture without stages, more stages than there are, or an unknown name.
    pub fn frozen(&self, freeze: &Freeze) -> Result<ParamGroup, ParameterError> {
        let all = self.stages();
        let refuse = |expected: String| ParameterError {
            parameter: "freeze",
            got: freeze.to_string(),
            expected,
        };
        if all.is_empty() {
            return Err(refuse(format!("nothing, since {} has no stages", self.name())));
        }
        let names = || all.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", ");
        let stages: Vec<&Stage> = match freeze {
            Freeze::First(count @ 1..) if *count <= all.len() => all[..*count].iter().collect(),
            Freeze::First(_) => {
                return Err(refuse(format!("1 to {} stages: {}", all.len(), names())));
            }
            Freeze::Named(frozen) => frozen
                .iter()
                .map(|name| all.iter().find(|stage| stage.name == name))
                .collect::<Option<_>>()
                .ok_or_else(|| refuse(format!("stages among {}", names())))?,
        };
        group(stages)
    }

    /// The weights of the body: everything but the head.
    ///
    /// # Errors
    /// An architecture without stages.
    pub fn body(&self) -> Result<ParamGroup, ParameterError> {
        match self.stages() {
            [] => Err(ParameterError {
                parameter: "backbone-learning-rate",
                got: "given".to_owned(),
                expected: format!("nothing, since {} has no stages", self.name()),
            }),
            stages => group(stages),
        }
    }
}

fn group<'a>(stages: impl IntoIterator<Item = &'a Stage>) -> Result<ParamGroup, ParameterError> {
    let modules: Vec<_> = stages.into_iter().flat_map(|stage| stage.modules).copied().collect();
    // The names of modules may follow the name of the enum variant in a path.
    let paths = modules.join("|").replace('.', r"\.");
    ParamGroup::from_regex(format!(r"^(\w+\.)?({paths})\.")).map_err(|error| ParameterError {
        parameter: "freeze",
        got: modules.join(", "),
        expected: format!("names of modules: {error:?}"),
    })
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::encoder::{Encoder, EncoderOptions, InputShape};

    fn resnet() -> (EncoderConfig, Encoder) {
        narrow("resnet18")
    }

    fn narrow(name: &str) -> (EncoderConfig, Encoder) {
        let options = EncoderOptions { width: Some(2), ..Default::default() };
        let config = EncoderConfig::named(name, options).unwrap();
        let input = InputShape { channels: 3, height: 32, width: 32 };
        let encoder = config.init(input, &Device::flex().autodiff()).unwrap();
        (config, encoder)
    }

    /// The paths of the weights that are trained.
    fn learning(encoder: &Encoder) -> Vec<String> {
        #[derive(Default)]
        struct Learning {
            path: Vec<String>,
            found: Vec<String>,
        }
        impl ModuleVisitor for Learning {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if param.is_require_grad() {
                    self.found.push(self.path.join("."));
                }
            }

            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }
        }
        let mut learning = Learning::default();
        encoder.visit(&mut learning);
        learning.found
    }

    #[test]
    fn frozen_stages_do_not_learn_and_the_others_do() {
        let stage = |path: &str, name: &str| path.split('.').any(|part| part == name);
        let (config, encoder) = resnet();
        let all = learning(&encoder);
        assert!(
            ["conv1", "layer1", "layer4", "head"]
                .iter()
                .all(|name| all.iter().any(|path| stage(path, name)))
        );
        for (freeze, frozen) in [
            ("1", &["stem"][..]),
            ("3", &["stem", "layer1", "layer2"]),
            ("layer2,stem", &["stem", "layer2"]),
            ("5", &["stem", "layer1", "layer2", "layer3", "layer4"]),
        ] {
            let freeze: Freeze = freeze.parse().unwrap();
            let (config, encoder) = resnet();
            let left = learning(&encoder.freeze_group(config.frozen(&freeze).unwrap()));
            let expected: Vec<_> = all
                .iter()
                .filter(|path| {
                    let named = ["layer1", "layer2", "layer3", "layer4", "head"];
                    let own = named.into_iter().find(|name| stage(path, name)).unwrap_or("stem");
                    !frozen.contains(&own)
                })
                .cloned()
                .collect();
            assert_eq!(left, expected, "{freeze}");
        }
        let left = learning(&encoder.freeze_group(config.body().unwrap()));
        assert!(!left.is_empty() && left.iter().all(|path| stage(path, "head")), "{left:?}");
    }

    #[test]
    fn stages_of_mobile_networks_are_parts_that_together_are_the_body() {
        for name in ["mobilenet-v2", "efficientnet-lite0"] {
            let (config, encoder) = narrow(name);
            let all = learning(&encoder);
            let mut frozen = 0;
            for stage in config.stages() {
                let (config, encoder) = narrow(name);
                let freeze = Freeze::Named(vec![stage.name.to_owned()]);
                let left = learning(&encoder.freeze_group(config.frozen(&freeze).unwrap()));
                let now: Vec<_> = all.iter().filter(|path| !left.contains(path)).collect();
                // Each of these modules, and no other, has weights that no longer learn.
                let of = |path: &String, module: &str| {
                    format!(".{path}.")
                        .replace(".Convolution.", ".")
                        .contains(&format!(".{module}."))
                };
                assert!(
                    now.iter().all(|path| stage.modules.iter().any(|m| of(path, m))),
                    "{now:?}"
                );
                assert!(
                    stage.modules.iter().all(|m| now.iter().any(|path| of(path, m))),
                    "{now:?}"
                );
                frozen += now.len();
            }
            let head = learning(&encoder.freeze_group(config.body().unwrap()));
            assert_eq!(head.len(), 2, "{head:?}");
            assert_eq!(frozen + 2, all.len(), "{name}");
        }
    }

    #[test]
    fn unknown_stages_are_refused() {
        let (config, _) = resnet();
        let refused =
            |freeze: &str| config.frozen(&freeze.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            refused("6"),
            "freeze is 6: expected 1 to 5 stages: stem, layer1, layer2, layer3, layer4"
        );
        assert!(refused("0").contains("1 to 5 stages"));
        assert!(refused("stem,layer9").contains("stages among stem, layer1"));
        assert!("stem,,".parse::<Freeze>().is_err());
        let small = EncoderConfig::named("small-cnn", EncoderOptions::default()).unwrap();
        assert_eq!(
            small.frozen(&Freeze::First(1)).unwrap_err().to_string(),
            "freeze is 1: expected nothing, since small-cnn has no stages"
        );
        for text in ["2", "stem,layer1"] {
            assert_eq!(text.parse::<Freeze>().unwrap().to_string(), text);
        }
    }
}
