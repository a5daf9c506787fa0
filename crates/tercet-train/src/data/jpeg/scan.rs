//! Checks that the data of one scan of a JPEG file is complete, from the first block to the last.

use super::bits::{Bits, Codes, Stop};

/// The number of bytes from which on data after the last block are an error. Some writers leave a
/// few.
const LEFT_OVER: usize = 8;

/// A component of the picture. The components are in the order of the frame.
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors.
    pub(super) across: usize,
    pub(super) down: usize,
    /// The size of the component in blocks of 8×8, without those that fill the last unit.
    pub(super) width: usize,
    pub(super) height: usize,
    /// For each block, which coefficients are not 0 so far; only in progressive files.
    pub(super) known: Vec<u64>,
}

/// The parameters of a scan.
pub(super) struct Scan<'a> {
    pub(super) progressive: bool,
    /// The indices of its components, with their tables of DC and AC codes.
    pub(super) parts: Vec<(usize, Option<&'a Codes>, Option<&'a Codes>)>,
    /// The first and the last coefficient.
    pub(super) band: (u32, u32),
    /// Whether the scan adds bits to coefficients that an earlier scan started.
    pub(super) refines: bool,
    /// The size of the picture in units; a unit contains all blocks of one position.
    pub(super) units: (usize, usize),
    /// Number of units between two restart markers; 0 for none.
    pub(super) restart: usize,
}

impl Scan<'_> {
    /// Reads the scan to its end; `bits` is then at the marker after it.
    ///
    /// The error says what is wrong with it. What a missing table would decode is not read, since
    /// decoders replace such tables in different ways.
    pub(super) fn check(
        &self,
        bits: &mut Bits<'_>,
        components: &mut [Component],
    ) -> Result<(), String> {
        let alone = match self.parts[..] {
            [(place, ..)] => Some(place),
            _ => None,
        };
        let (across, down) = match alone {
            Some(place) => (components[place].width, components[place].height),
            None => self.units,
        };
        let total = across * down;
        let mut run = 0;
        let mut next_restart = 0;
        for unit in 0..total {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 {
                self.restart_here(bits, next_restart, (unit, total))?;
                next_restart = (next_restart + 1) % 8;
                run = 0;
            }
            for &(place, dc, ac) in &self.parts {
                let blocks = match alone {
                    Some(_) => 1,
                    None => components[place].across * components[place].down,
                };
                for _ in 0..blocks {
                    let known = components[place].known.get_mut(unit);
                    self.block(bits, dc, ac, known, &mut run)
                        .map_err(|stop| told(stop, unit, total))?;
                }
            }
        }
        match bits.finish() {
            0..LEFT_OVER => Ok(()),
            left => Err(format!(
                "{left} bytes of it are left over behind the last block: something before is damaged"
            )),
        }
    }

    fn restart_here(
        &self,
        bits: &mut Bits<'_>,
        number: u8,
        (unit, total): (usize, usize),
    ) -> Result<(), String> {
        let left = bits.finish();
        let marker = bits.marker();
        match marker {
            Some((marker, behind)) if marker == 0xD0 + number && left < LEFT_OVER => {
                bits.go_to(behind);
                Ok(())
            }
            Some((0xD0..=0xD7, _)) => Err(format!(
                "it is damaged before restart marker {number}, at {} % of the picture",
                100 * unit / total
            )),
            _ => Err(told(Stop::Missing, unit, total)),
        }
    }

    /// Reads one block. `run` counts the following blocks that have no further coefficients.
    fn block(
        &self,
        bits: &mut Bits<'_>,
        dc: Option<&Codes>,
        ac: Option<&Codes>,
        known: Option<&mut u64>,
        run: &mut u32,
    ) -> Result<(), Stop> {
        let (first, last) = self.band;
        if first == 0 {
            match (self.refines, dc) {
                (true, _) => drop(bits.take(1)?),
                (false, Some(codes)) => difference(bits, codes)?,
                (false, None) => {}
            }
            if self.progressive {
                return Ok(());
            }
        }
        let Some(codes) = ac else { return Ok(()) };
        let mut none = 0;
        let known = known.unwrap_or(&mut none);
        let start = first.max(1);
        match (self.progressive, self.refines) {
            (false, _) => coefficients(bits, codes, start, 63, &mut none, None),
            (true, false) => coefficients(bits, codes, start, last, known, Some(run)),
            (true, true) => refinement(bits, codes, start, last, known, run),
        }
    }
}

fn told(stop: Stop, unit: usize, total: usize) -> String {
    let share = 100 * unit / total.max(1);
    match stop {
        Stop::Missing => format!("it ends at {share} % of the picture, the rest is missing"),
        Stop::NoCode => format!("it is damaged at {share} % of the picture"),
    }
}

fn difference(bits: &mut Bits<'_>, codes: &Codes) -> Result<(), Stop> {
    match bits.symbol(codes)? {
        length @ 0..=16 => bits.take(u32::from(length)).map(drop),
        _ => Err(Stop::NoCode),
    }
}

/// Reads new coefficients. If `run` is given, a code can end this block and some of the following
/// ones.
fn coefficients(
    bits: &mut Bits<'_>,
    codes: &Codes,
    first: u32,
    last: u32,
    known: &mut u64,
    mut run: Option<&mut u32>,
) -> Result<(), Stop> {
    if let Some(run) = run.as_deref_mut()
        && *run > 0
    {
        *run -= 1;
        return Ok(());
    }
    let mut place = first;
    while place <= last {
        let symbol = bits.symbol(codes)?;
        let (zeros, length) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (length, zeros) {
            (0, 15) => place += 16,
            (0, _) => {
                match run {
                    Some(run) => *run = (1 << zeros) - 1 + bits.take(zeros)?,
                    None if zeros > 0 => return Err(Stop::NoCode),
                    None => {}
                }
                return Ok(());
            }
            _ => {
                place += zeros;
                if place > last {
                    return Err(Stop::NoCode);
                }
                bits.take(length)?;
                *known |= 1 << place;
                place += 1;
            }
        }
    }
    Ok(())
}

/// Reads one more bit of known coefficients, and new coefficients.
fn refinement(
    bits: &mut Bits<'_>,
    codes: &Codes,
    first: u32,
    last: u32,
    known: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    let mut place = first;
    if *run == 0 {
        while place <= last {
            let symbol = bits.symbol(codes)?;
            let (mut zeros, length) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (length, zeros) {
                (0, 15) => {}
                (0, _) => {
                    *run = (1 << zeros) + bits.take(zeros)?;
                    break;
                }
                (1, _) => drop(bits.take(1)?),
                _ => return Err(Stop::NoCode),
            }
            // Skips known coefficients, and as many zeros as the code says.
            while place <= last {
                if *known & (1 << place) != 0 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                place += 1;
            }
            if length == 1 {
                if place > last {
                    return Err(Stop::NoCode);
                }
                *known |= 1 << place;
            }
            place += 1;
        }
    }
    if *run > 0 {
        for place in place..=last {
            if *known & (1 << place) != 0 {
                bits.take(1)?;
            }
        }
        *run -= 1;
    }
    Ok(())
}
