//! Checks of parameters that several objectives have.

use crate::Error;

/// Refuses a parameter that is not a positive, finite number.
pub(super) fn positive_number(parameter: &'static str, value: f32) -> Result<(), Error> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::parameter(parameter, value.to_string(), "a positive number"))
}
