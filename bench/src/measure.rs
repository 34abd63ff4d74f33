//! Times of commands.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One of the commands that are compared.
pub(crate) struct Contender<'a> {
    /// What the table calls it.
    pub(crate) name: &'a str,
    /// Makes the command.
    pub(crate) command: Box<dyn Fn() -> Command + 'a>,
    /// How often it is run; slow peers less often.
    pub(crate) times: usize,
    /// What comes before and after each run, and is not counted.
    around: [Box<dyn Fn() + 'a>; 2],
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'a str, times: usize, command: impl Fn() -> Command + 'a) -> Self {
        Self { name, command: Box::new(command), times, around: [Box::new(|| ()), Box::new(|| ())] }
    }

    /// Something that has to be there.
    pub(crate) fn before(mut self, made: impl Fn() + 'a) -> Self {
        self.around[0] = Box::new(made);
        self
    }

    /// Takes away what a run leaves.
    pub(crate) fn after(mut self, cleaned: impl Fn() + 'a) -> Self {
        self.around[1] = Box::new(cleaned);
        self
    }

    /// Runs it once more; the seconds of processors that it took, and the memory of its largest process in KiB.
    pub(crate) fn cost(&self) -> (f64, u64) {
        self.around[0]();
        let command = (self.command)();
        let mut timed = Command::new("time");
        timed.args(["-f", "%U %S %M"]).arg(command.get_program()).args(command.get_args());
        timed.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = timed.stdin(Stdio::null()).output().expect("time");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        self.around[1]();
        let words: Vec<&str> = said.lines().last().unwrap_or_default().split(' ').collect();
        let [user, system, memory] = <[&str; 3]>::try_from(words).expect("what time says");
        let seconds = |word: &str| word.parse::<f64>().expect("seconds");
        (seconds(user) + seconds(system), memory.parse().expect("a number"))
    }

    fn run(&self) -> Duration {
        self.around[0]();
        let took = once(&mut (self.command)());
        self.around[1]();
        took
    }
}

/// What a command's runs took.
pub(crate) struct Times {
    name: String,
    sorted: Vec<Duration>,
}

impl Times {
    pub(crate) fn median(&self) -> Duration {
        self.sorted[self.sorted.len() / 2]
    }

    fn p95(&self) -> Duration {
        self.sorted[(self.sorted.len() * 95 / 100).min(self.sorted.len() - 1)]
    }
}

/// Runs a command to its end, silently.
///
/// # Panics
/// When it fails: then there is nothing to measure.
pub(crate) fn once(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().expect("a program that starts");
    let output = child.wait_with_output().expect("a program that ends");
    let took = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// Runs the contenders in turn, as often as each wants, evenly spread; the first run of each is not counted.
pub(crate) fn alternate(contenders: &[Contender<'_>]) -> Vec<Times> {
    let rounds = contenders.iter().map(|contender| contender.times).max().unwrap_or(0);
    let mut times: Vec<_> = contenders
        .iter()
        .map(|contender| Times { name: contender.name.to_owned(), sorted: Vec::new() })
        .collect();
    for contender in contenders {
        contender.run();
    }
    for round in 0..rounds {
        for (contender, times) in contenders.iter().zip(&mut times) {
            if round * contender.times / rounds != (round + 1) * contender.times / rounds {
                times.sorted.push(contender.run());
            }
        }
    }
    for times in &mut times {
        times.sorted.sort();
    }
    times
}

/// Prints a table; the ratios are those of the first one's median and p95 to each other's.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
pub(crate) fn print(times: &[Times]) {
    println!("| | median ms | p95 ms | n | {} / it, median | p95 |", times[0].name);
    println!("|---|---:|---:|---:|---:|---:|");
    for one in times {
        let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        println!(
            "| {} | {:.2} | {:.2} | {} | {:.2} | {:.2} |",
            one.name,
            one.median().as_secs_f64() * 1e3,
            one.p95().as_secs_f64() * 1e3,
            one.sorted.len(),
            ratio(times[0].median(), one.median()),
            ratio(times[0].p95(), one.p95()),
        );
    }
}
