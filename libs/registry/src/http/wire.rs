//! A socket on which every wait ends: whatever stands above it, TLS or chunks, reads and writes through it. So a byte now and
//! then holds nobody up, in whichever of these layers it comes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Patience;
use super::error::HttpError;

/// A socket.
#[derive(Debug)]
pub(super) struct Wire {
    end: End,
    patience: Patience,
    bound: Bound,
    /// The limits that the kernel knows, so that it is not told the same again.
    told: Told,
}

#[derive(Debug)]
enum End {
    Tcp(TcpStream),
    /// Of this machine.
    Local(UnixStream),
}

impl End {
    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(limit),
            Self::Local(stream) => stream.set_read_timeout(limit),
        }
    }

    fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(limit),
            Self::Local(stream) => stream.set_write_timeout(limit),
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    reads: Option<Duration>,
    writes: Option<Duration>,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// All has to be over by then: a greeting, a head.
    By(Instant),
    /// So many bytes came or went in the time that was waited for them: only that counts, and not what was done meanwhile.
    Pace { waited: Duration, moved: u64 },
}

impl Bound {
    const PACE: Self = Self::Pace { waited: Duration::ZERO, moved: 0 };
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, patience: Patience) -> io::Result<Self> {
        // Requests are small and waited for.
        tcp.set_nodelay(true)?;
        Ok(Self { end: End::Tcp(tcp), patience, bound: Bound::PACE, told: Told::default() })
    }

    pub(super) fn local(stream: UnixStream, patience: Patience) -> Self {
        Self { end: End::Local(stream), patience, bound: Bound::PACE, told: Told::default() }
    }

    /// Has all that follows be over by then.
    pub(super) const fn end_by(&mut self, until: Instant) {
        self.bound = Bound::By(until);
    }

    /// From now on bytes have to keep coming, or going.
    pub(super) const fn keep_pace(&mut self) {
        self.bound = Bound::PACE;
    }

    /// How long one call may wait.
    fn limit(&self) -> io::Result<Duration> {
        match self.bound {
            Bound::Pace { .. } => Ok(self.patience.idle),
            Bound::By(until) => {
                let left = until.saturating_duration_since(Instant::now());
                // A socket takes a limit of nothing for none.
                if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
            }
        }
    }

    /// So many bytes came or went since then.
    fn moved(&mut self, since: Instant, size: usize) -> io::Result<()> {
        let Bound::Pace { waited, moved } = &mut self.bound else { return Ok(()) };
        *waited += since.elapsed();
        *moved += size as u64;
        if *waited < self.patience.stretch {
            return Ok(());
        }
        if *moved < self.patience.least {
            return Err(HttpError::Slow { what: "a trickle of bytes", after: self.patience.stretch }.into());
        }
        self.bound = Bound::PACE;
        Ok(())
    }
}

impl AsFd for Wire {
    /// To look at what is there.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.end {
            End::Tcp(stream) => stream.as_fd(),
            End::Local(stream) => stream.as_fd(),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let limit = Some(self.limit()?);
        if self.told.reads != limit {
            self.end.set_read_timeout(limit)?;
            self.told.reads = limit;
        }
        let began = Instant::now();
        let size = match &mut self.end {
            End::Tcp(stream) => stream.read(into)?,
            End::Local(stream) => stream.read(into)?,
        };
        self.moved(began, size)?;
        Ok(size)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = Some(self.limit()?);
        if self.told.writes != limit {
            self.end.set_write_timeout(limit)?;
            self.told.writes = limit;
        }
        let began = Instant::now();
        let size = match &mut self.end {
            End::Tcp(stream) => stream.write(bytes)?,
            End::Local(stream) => stream.write(bytes)?,
        };
        self.moved(began, size)?;
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Nothing is kept back.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair(patience: Patience) -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Wire::new(ours, patience).unwrap(), listener.accept().unwrap().0)
    }

    fn what(error: io::Error) -> String {
        HttpError::of(error, "reading", Duration::ZERO).to_string()
    }

    #[test]
    fn bytes_that_are_there_are_read_however_late() {
        let stretch = Duration::from_millis(50);
        let (mut ours, mut theirs) = pair(Patience { stretch, least: 1 << 20, ..Patience::default() });
        theirs.write_all(&[7; 100]).unwrap();
        let began = Instant::now();
        // Who reads is busy with something else for longer than bytes may take.
        while began.elapsed() < 2 * stretch {
            std::thread::yield_now();
        }
        let mut some = [0; 10];
        for _ in 0..10 {
            ours.read_exact(&mut some).unwrap();
        }
    }

    #[test]
    fn who_takes_nothing_is_given_up() {
        let soon = Duration::from_millis(50);
        let (mut ours, theirs) = pair(Patience { idle: soon, stretch: soon, ..Patience::default() });
        let error = ours.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert!(what(error).contains("took longer"), "an end");
        drop(theirs);
    }

    #[test]
    fn what_has_to_be_over_by_then_is() {
        let (mut ours, mut theirs) = pair(Patience::default());
        let soon = Instant::now() + Duration::from_millis(50);
        ours.end_by(soon);
        theirs.write_all(b"x").unwrap();
        let mut some = [0; 10];
        assert_eq!(ours.read(&mut some).unwrap(), 1);
        let error = ours.read(&mut some).unwrap_err();
        assert!(what(error).contains("took longer") && Instant::now() >= soon);
        assert!(soon.elapsed() < Patience::default().idle / 2);
        assert!(ours.read(&mut some).is_err());
        ours.keep_pace();
        theirs.write_all(b"x").unwrap();
        assert_eq!(ours.read(&mut some).unwrap(), 1);
    }
}
