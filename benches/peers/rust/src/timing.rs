//! Calls that take turns: as in `timing.py`.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::engines::{Engine, Run};

/// The least time of a sample: a quick call is repeated until it lasts so long.
const SAMPLE: Duration = Duration::from_millis(10);
/// A call this long is far from its bound, and more rounds would cost minutes and add nothing.
const SLOW: Duration = Duration::from_millis(200);
const SLOW_ROUNDS: usize = 3;
/// The rounds of the calls that compute nothing: they are quick, and subtracted from everything.
pub const CALL_ROUNDS: usize = 9;

fn sample(run: &mut dyn Run, repeats: u32) -> Result<Duration> {
    let begin = Instant::now();
    for _ in 0..repeats {
        run.run()?;
    }
    Ok(begin.elapsed() / repeats)
}

/// For each engine the seconds of a call, one sample a round: all take their turn in every round.
pub fn alternately(ready: &mut [(Engine, Box<dyn Run>)], mut rounds: usize) -> Result<Vec<Vec<f64>>> {
    let mut repeats = Vec::new();
    for (_, run) in ready.iter_mut() {
        run.run()?;
        let once = sample(&mut **run, 1)?.min(sample(&mut **run, 1)?);
        if once > SLOW {
            rounds = rounds.min(SLOW_ROUNDS);
        }
        let times = SAMPLE.as_nanos() / once.as_nanos().max(100);
        repeats.push(u32::try_from(times).unwrap_or(u32::MAX).max(1));
    }
    let mut seconds = vec![Vec::new(); ready.len()];
    for _ in 0..rounds {
        for (((_, run), &repeats), seconds) in ready.iter_mut().zip(&repeats).zip(&mut seconds) {
            seconds.push(sample(&mut **run, repeats)?.as_secs_f64());
        }
    }
    Ok(seconds)
}

/// The median; of an even number the upper one of the middle two.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
