//! Stages of a run with other objectives and batches than the run's own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tercet::{ParameterError, Preset};

use super::{BatchShape, Margin};

/// Stages before the run's own objective and batch. Written as text,
/// `400:batch-all:8x4,800:batch-hard`, or in TOML also as one table per stage:
///
/// ```toml
/// [[curriculum]]
/// until = 400
/// objective = "batch-all"
/// batch = "8x4"
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Curriculum(pub Vec<Stage>);

/// A stage of a curriculum. Values that it does not set are those of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stage {
    /// The step, counted from 0, before which it ends.
    pub until: u64,
    /// The objective.
    pub objective: Option<Preset>,
    /// The margin of the objective. Without it, an objective given here has its own margin.
    pub margin: Option<Margin>,
    /// Classes × items of a batch.
    pub batch: Option<BatchShape>,
}

impl Curriculum {
    /// # Errors
    /// There is no stage, or the steps at which they end do not rise.
    pub fn check(&self) -> Result<(), ParameterError> {
        let rising = self.0.is_sorted_by(|one, next| one.until < next.until);
        if self.0.first().is_some_and(|stage| stage.until > 0) && rising {
            return Ok(());
        }
        Err(ParameterError {
            parameter: "curriculum",
            got: format!("`{self}`"),
            expected: "stages whose last steps rise, such as 400:batch-all:8x4,800:batch-hard"
                .to_owned(),
        })
    }
}

impl fmt::Display for Curriculum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, stage) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{stage}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.until)?;
        if let Some(objective) = self.objective {
            write!(f, ":{objective}")?;
        }
        if let Some(margin) = self.margin {
            write!(f, ":{margin}")?;
        }
        self.batch.map_or(Ok(()), |batch| write!(f, ":{batch}"))
    }
}

impl FromStr for Curriculum {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let curriculum = Self(text.split(',').map(str::parse).collect::<Result<_, _>>()?);
        curriculum.check().map(|()| curriculum)
    }
}

impl FromStr for Stage {
    type Err = ParameterError;

    /// `UNTIL[:OBJECTIVE][:MARGIN][:PxK]`; the parts after the step may be in any order.
    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let refuse = || ParameterError {
            parameter: "curriculum",
            got: format!("`{text}`"),
            expected: format!(
                "UNTIL[:OBJECTIVE][:MARGIN][:PxK] with an objective of {}, such as 400:batch-all:8x4",
                Preset::ALL.map(Preset::name).join(", ")
            ),
        };
        let mut parts = text.trim().split(':').map(str::trim);
        let until = parts.next().and_then(|until| until.parse().ok()).ok_or_else(refuse)?;
        let mut stage = Self { until, ..Self::default() };
        for part in parts {
            // Each part is recognised by its form, and may be given once.
            let (objective, margin, batch) =
                (part.parse().ok(), part.parse().ok(), part.parse().ok());
            let seen = [
                fill(&mut stage.objective, objective),
                fill(&mut stage.margin, margin),
                fill(&mut stage.batch, batch),
            ];
            if !seen.contains(&true) {
                return Err(refuse());
            }
        }
        Ok(stage)
    }
}

/// Sets an unset field; returns whether it was set now.
fn fill<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let fits = place.is_none() && value.is_some();
    if fits {
        *place = value;
    }
    fits
}

impl Serialize for Curriculum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Curriculum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> de::Visitor<'de> for Written {
            type Value = Curriculum;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("stages as text such as `400:batch-all:8x4`, or as tables")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Curriculum, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut tables: A,
            ) -> Result<Curriculum, A::Error> {
                let mut stages = Vec::new();
                while let Some(stage) = tables.next_element()? {
                    stages.push(stage);
                }
                Ok(Curriculum(stages))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::TrainConfig;

    #[test]
    fn stages_are_read_as_text_and_as_tables() {
        let text: TrainConfig =
            toml::from_str("curriculum = '40:batch-all:8x4, 80:soft:16x4'").unwrap();
        let tables: TrainConfig = toml::from_str(
            "[[curriculum]]\nuntil = 40\nobjective = 'batch-all'\nbatch = '8x4'\n\
             [[curriculum]]\nuntil = 80\nmargin = 'soft'\nbatch = '16x4'\n",
        )
        .unwrap();
        assert_eq!(text, tables);
        let printed = toml::to_string(&text).unwrap();
        assert!(printed.contains("curriculum = \"40:batch-all:8x4,80:soft:16x4\""), "{printed}");
        assert_eq!(toml::from_str::<TrainConfig>(&printed).unwrap(), text);
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "x", "10:batch-hrad", "10:2x2:3x3", "20,10", "0:batch-all", "10:1x4"] {
            let error = text.parse::<Curriculum>().unwrap_err().to_string();
            assert!(error.contains("400:batch-all:8x4"), "{text}: {error}");
        }
    }
}
