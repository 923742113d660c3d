//! What a row is, and the arithmetic of samples.

use std::fmt;

/// One thing that is measured.
pub(crate) struct Row {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it measures, for `list`.
    pub(crate) what: &'static str,
    /// Measures it.
    pub(crate) run: fn() -> Measured,
}

/// What was measured: a median.
pub(crate) struct Measured {
    ours: f64,
    unit: &'static str,
    peer: Option<(&'static str, f64)>,
}

impl Measured {
    /// A number without a peer.
    pub(crate) fn alone(ours: f64, unit: &'static str) -> Measured {
        Measured { ours, unit, peer: None }
    }

    /// A number beside that of a peer in the same run.
    pub(crate) fn against(ours: f64, unit: &'static str, peer: &'static str, theirs: f64) -> Measured {
        Measured { ours, unit, peer: Some((peer, theirs)) }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ours={:.3} unit={}", self.ours, self.unit)?;
        match self.peer {
            Some((name, theirs)) => write!(f, " peer={name}:{theirs:.3} ratio={:.3}", self.ours / theirs),
            None => Ok(()),
        }
    }
}

/// The median of some samples; 0 of none.
pub(crate) fn median(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.into_iter().collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Measures both sides in turns, so that both meet the same moods of the machine; their medians.
pub(crate) fn in_turns(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut theirs: impl FnMut() -> f64,
) -> (f64, f64) {
    let mut measured = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whoever begins changes.
        if round % 2 == 0 {
            measured.0.push(ours());
            measured.1.push(theirs());
        } else {
            measured.1.push(theirs());
            measured.0.push(ours());
        }
    }
    (median(measured.0), median(measured.1))
}
