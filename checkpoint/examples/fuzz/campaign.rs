//! Shared code of the programs that feed damaged files to readers.

#[path = "measured.rs"]
mod measured;

use crate::Random;
use std::time::{Duration, Instant};

/// A target: its name, and a function that makes one random input and gives it to every reader of its format.
pub(crate) type Target<C> = (&'static str, fn(&C, &mut Random));

/// Changes, removes, repeats or inserts a few bytes.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        let len = random.below(9).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + len)),
            2 => {
                let copy = bytes[at..at + len].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes.splice(at..at, (0..len).map(|_| random.next() as u8)).for_each(drop),
            4 => {
                // Numbers that lie at borders, as varints and fixed.
                const BORDERS: [&[u8]; 5] =
                    [&[0xff; 8], &[0x7f], &[0x80; 10], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0; 4]];
                let border = BORDERS[random.below(BORDERS.len())];
                let end = (at + border.len()).min(bytes.len());
                bytes.splice(at..end, border.iter().copied()).for_each(drop);
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
}

/// Far above what any reader needs for an input of these sizes, far below what a forged length would request.
const MOST: usize = 32 << 20;

/// Feeds the targets that the program's arguments name, `[--seconds N] [--seed S] [TARGET ...]`; all without one.
/// No input may cause a panic or an allocation that is out of proportion to it. A finding ends the program with the seed of
/// its input.
pub(crate) fn run<C>(corpus: &C, all: &[Target<C>]) {
    let (mut seconds, mut seed, mut targets) = (10, 1, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().unwrap().parse().expect("a number follows --seconds"),
            "--seed" => seed = arguments.next().unwrap().parse().expect("a number follows --seed"),
            target => targets.push(target.to_owned()),
        }
    }
    for (name, target) in all.iter().filter(|row| targets.is_empty() || targets.iter().any(|t| t == row.0)) {
        let start = Instant::now();
        let mut inputs = 0u64;
        let mut most = 0;
        while start.elapsed() < Duration::from_secs(seconds) {
            let mut random = Random(seed ^ (inputs << 8));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                measured::peak(|| target(corpus, &mut random))
            }));
            let peak = result.unwrap_or_else(|_| fail(name, seed, inputs, "a panic"));
            if peak > MOST {
                fail(name, seed, inputs, &format!("{peak} bytes allocated"));
            }
            most = most.max(peak);
            inputs += 1;
        }
        println!("{name}: {inputs} inputs, no finding, at most {most} bytes allocated at once");
    }
}

fn fail(name: &str, seed: u64, input: u64, what: &str) -> ! {
    println!("{name}: {what} with --seed {seed}, input {input}");
    std::process::exit(1)
}
