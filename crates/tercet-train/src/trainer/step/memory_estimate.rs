//! How many items go through the network at once, by the memory that a training step takes.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use tercet::ParameterError;

use crate::encoder::{Encoder, InputShape};
use crate::trainer::TrainError;
use crate::trainer::settings::{Bytes, Chunk, TrainConfig};

/// Bytes of a number.
const VALUE: u64 = 4;

/// Copies of the weights: themselves, a gradient and the sum of gradients, two moments of Adam.
const WEIGHTS: u64 = 5;

/// What a step is made of.
pub(in crate::trainer) struct Task<'a> {
    pub(in crate::trainer) encoder: &'a Encoder,
    pub(in crate::trainer) input: InputShape,
    /// Numbers in the network.
    pub(in crate::trainer) parameters: usize,
    /// Items that a step learns from.
    pub(in crate::trainer) batch: usize,
    /// Items that enter the step.
    pub(in crate::trainer) candidates: usize,
    /// Batches that the loader has in memory.
    pub(in crate::trainer) batches_ahead: usize,
}

/// What a backward pass takes beside what the forward pass kept for it, as a share of that:
/// gradients of the layers it is at, and the work space of convolutions.
const BACKWARD: f64 = 0.5;

/// A chunk smaller than this makes poor statistics for batch norm.
const SMALLEST: u64 = 8;

/// Items that go through the network at once; none if all of a batch do.
///
/// What fits is counted, not measured, and from what the machine has rather than from what happens
/// to be free, so that the same run on the same machine has the same chunks.
pub(in crate::trainer) fn chunk(
    config: &TrainConfig,
    task: &Task,
) -> Result<Option<usize>, TrainError> {
    let Task { encoder, input, batch, .. } = *task;
    let limit = match (config.chunk, config.ram_limit) {
        (Chunk::Items(items), _) => return Ok((items < batch).then_some(items)),
        (Chunk::Auto, Some(Bytes(limit))) => limit,
        (Chunk::Auto, None) => machine() / 2,
    };
    let item = item(encoder, input);
    let fixed = fixed(task);
    let fit = limit.saturating_sub(fixed) / item;
    if fit >= batch as u64 {
        return Ok(None);
    }
    if fit < SMALLEST {
        let least = Bytes((fixed + SMALLEST * item).div_ceil(1 << 20) << 20);
        return Err(ParameterError {
            parameter: "ram-limit",
            got: format!("{}", Bytes(limit)),
            expected: format!("at least {least} for this encoder and batch; or name --chunk"),
        }
        .into());
    }
    Ok(Some(fit as usize))
}

/// The estimated memory of a step, in bytes, with so many items in the network at once.
pub(in crate::trainer) fn memory(task: &Task, chunk: Option<usize>) -> u64 {
    let at_once = chunk.map_or(task.batch, |chunk| chunk.min(task.batch));
    fixed(task) + item(task.encoder, task.input) * at_once as u64
}

/// Bytes of one item in the network, forward and back.
fn item(encoder: &Encoder, input: InputShape) -> u64 {
    let kept = VALUE * encoder.activations(input) as u64;
    kept + (BACKWARD * kept as f64) as u64
}

/// Bytes of the weights, of what the optimiser keeps of them, and of the batches.
fn fixed(task: &Task) -> u64 {
    let InputShape { channels, height, width } = task.input;
    // The step's batch and its copy, and those that are prepared.
    let batches = (2 + task.batches_ahead) * task.candidates * channels * height * width;
    VALUE * (WEIGHTS * task.parameters as u64 + batches as u64)
}

/// The memory of the machine, or of the group of processes that this one belongs to.
fn machine() -> u64 {
    let memory = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory));
    let group = system.cgroup_limits().map(|group| group.total_memory).filter(|&total| total > 0);
    group.unwrap_or(u64::MAX).min(system.total_memory())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::encoder::{EncoderConfig, SmallCnnConfig};

    fn chunk_of(chunk: &str, limit: &str, batch: usize) -> Result<Option<usize>, String> {
        let config = TrainConfig {
            chunk: chunk.parse().unwrap(),
            ram_limit: Some(limit.parse().unwrap()),
            ..TrainConfig::default()
        };
        let input = InputShape { channels: 1, height: 28, width: 28 };
        let encoder = EncoderConfig::SmallCnn(SmallCnnConfig::default());
        let encoder = encoder.init(input, &Device::flex()).unwrap();
        let task = Task {
            encoder: &encoder,
            input,
            parameters: 113_000,
            batch,
            candidates: batch,
            batches_ahead: 3,
        };
        super::chunk(&config, &task).map_err(|error| error.to_string())
    }

    #[test]
    fn a_batch_that_fits_goes_at_once_and_others_in_the_largest_chunks_that_fit() {
        assert_eq!(chunk_of("auto", "1G", 64), Ok(None));
        let small = chunk_of("auto", "256M", 4096).unwrap().unwrap();
        let large = chunk_of("auto", "512M", 4096).unwrap().unwrap();
        assert!((8..large).contains(&small) && large < 4096, "{small} {large}");
        assert_eq!(chunk_of("48", "1M", 4096), Ok(Some(48)));
        assert_eq!(chunk_of("64", "1M", 64), Ok(None));
        let error = chunk_of("auto", "10M", 64).unwrap_err();
        assert!(error.starts_with("ram-limit is 10M: expected at least "), "{error}");
        let least = error.split(' ').nth(6).unwrap();
        assert_eq!(chunk_of("auto", least, 64), Ok(Some(8)));
        assert!(machine() > 1 << 26);
    }
}
