//! One scan of a JPEG file: whether its data is there from the first block to the last.

use super::bits::{Bits, Codes, Stop};

/// Bytes of data that may be left over behind the last block. Some writers leave a few.
const LEFT_OVER: usize = 8;

/// A component of the picture in the order of the frame.
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Blocks of 8×8 that the component has, without those that fill up the last unit.
    pub(super) width: usize,
    pub(super) height: usize,
    /// By block: which coefficients are not 0 so far; only of progressive files.
    pub(super) known: Vec<u64>,
}

/// What a scan says of itself.
pub(super) struct Scan<'a> {
    pub(super) progressive: bool,
    /// Places of the components, with their tables of DC and AC codes.
    pub(super) parts: Vec<(usize, Option<&'a Codes>, Option<&'a Codes>)>,
    /// The first and the last coefficient.
    pub(super) band: (u32, u32),
    /// Whether bits are added to coefficients that an earlier scan began.
    pub(super) refines: bool,
    /// Units of the picture across and down, of which each holds all blocks of one place.
    pub(super) units: (usize, usize),
    /// Units between two restart markers; 0 for none.
    pub(super) restart: usize,
}

impl Scan<'_> {
    /// Reads the scan to its end, where `bits` then is at the marker behind it.
    ///
    /// The error is what is wrong with it. A scan whose tables are missing is left alone: how
    /// decoders make up for that is their affair.
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

    /// Reads one block. `run` counts the blocks to come that are known to hold no more coefficients.
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

/// Coefficients that begin here. Where there is a `run`, a code can end this block and some to come.
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

/// One more bit of the coefficients that are known, and coefficients that begin here.
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
            // Past the coefficients that are known and as many zeros as the code says.
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
