//! The options of all architectures, as the command line gives them.

use tercet::ParameterError;

use super::{EncoderConfig, Pooling};

/// Options, each of which at least one architecture has; those not given take the architecture's
/// defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EncoderOptions {
    /// Number of components of an embedding.
    pub embedding_dim: Option<usize>,
    /// Number of channels of the first layer or of every block.
    pub width: Option<usize>,
    /// Number of blocks.
    pub depth: Option<usize>,
    /// Number of components of the hidden layer.
    pub hidden: Option<usize>,
    /// What the head receives of the last feature map.
    pub pooling: Option<Pooling>,
}

impl EncoderOptions {
    /// Moves an option, if it is given, into a field of a configuration.
    pub(super) fn take<T>(option: &mut Option<T>, place: &mut T) {
        if let Some(value) = option.take() {
            *place = value;
        }
    }

    /// Refuses options that were given but that the architecture did not take.
    pub(super) fn none_left(&self, config: &EncoderConfig) -> Result<(), ParameterError> {
        let number = |given: Option<usize>| given.map(|number| number.to_string());
        let left = [
            ("embedding-dim", number(self.embedding_dim)),
            ("width", number(self.width)),
            ("depth", number(self.depth)),
            ("hidden", number(self.hidden)),
            ("pooling", self.pooling.map(|pooling| pooling.to_string())),
        ];
        match left.into_iter().find_map(|(option, given)| Some((option, given?))) {
            None => Ok(()),
            Some((option, got)) => Err(ParameterError {
                parameter: option,
                got,
                expected: format!("nothing, since {} has no such option", config.name()),
            }),
        }
    }
}

/// Refuses a size outside its range.
pub(super) fn check_range(
    option: &'static str,
    got: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<(), ParameterError> {
    if range.contains(&got) {
        return Ok(());
    }
    Err(ParameterError {
        parameter: option,
        got: got.to_string(),
        expected: format!("{} to {}", range.start(), range.end()),
    })
}
