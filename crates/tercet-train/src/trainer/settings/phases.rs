//! The phases of a run: objective and batch as functions of the step.

use tercet::{Objective, ParameterError};

use super::{BatchShape, Parts, Stage, TrainConfig};

/// The steps `from..until` of a run, which have the same objective and batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// The first step.
    pub from: u64,
    /// The step after the last.
    pub until: u64,
    /// The objective with its margin.
    pub objective: Objective,
    /// Classes × items of a batch; none if the data determine it.
    pub batch: Option<BatchShape>,
}

impl TrainConfig {
    /// The phases of the run, in order; the last one has the run's own objective and batch.
    ///
    /// # Errors
    /// Parts of an objective that contradict each other.
    pub fn phases(&self) -> Result<Vec<Phase>, ParameterError> {
        let stages = self.curriculum.iter().flat_map(|curriculum| &curriculum.0).copied();
        let own = Stage { until: self.steps, ..Stage::default() };
        let mut phases = Vec::new();
        let mut from = 0;
        for stage in stages.chain([own]) {
            let until = stage.until.min(self.steps);
            let objective = match stage.objective {
                Some(preset) => Parts { margin: stage.margin, ..Parts::default() }.of(preset),
                None => {
                    let own = self.parts();
                    Parts { margin: stage.margin.or(own.margin), ..own }.of(self.objective)
                }
            }?;
            if from < until {
                let batch = stage.batch.or(self.batch);
                phases.push(Phase { from, until, objective, batch });
                from = until;
            }
        }
        Ok(phases)
    }
}

#[cfg(test)]
mod tests {
    use tercet::Preset;

    use super::*;
    use crate::trainer::Margin;

    #[test]
    fn phases_cover_the_run_and_inherit_what_a_stage_leaves_out() {
        let config = TrainConfig {
            steps: 100,
            margin: Some(Margin::Hinge(0.5)),
            curriculum: Some("40:facenet:2x2,60:4x4".parse().unwrap()),
            ..TrainConfig::default()
        };
        let phases = config.phases().unwrap();
        let spans: Vec<_> = phases.iter().map(|phase| (phase.from, phase.until)).collect();
        assert_eq!(spans, [(0, 40), (40, 60), (60, 100)]);
        assert_eq!(phases[0].objective, Preset::Facenet.loss());
        assert_eq!(phases[0].batch, Some(BatchShape { p: 2, k: 2 }));
        assert_eq!(phases[1].objective, config.loss().unwrap());
        assert_eq!((phases[2].objective, phases[2].batch), (config.loss().unwrap(), None));
        // Stages beyond the last step have no effect.
        assert_eq!(TrainConfig { steps: 40, ..config }.phases().unwrap().len(), 1);
    }
}
