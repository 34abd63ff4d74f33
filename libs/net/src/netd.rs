//! The process that serves a router: one for each network.
//!
//! It is started by whoever supervises the container, in A and in the host's network namespace, and told over its control socket
//! which network namespace is the container's. A second thread makes the router and stays in it ([`pool`]); this one stays on
//! the host's side, gives up every capability, and from then on opens nothing but sockets.
//!
//! ```text
//! tap ──▶ tcp, echo      listeners ──▶ tcp      catchers ──▶ udp      control: its end is ours
//! ```
//! One thread, one epoll. Sockets of flows tell each change once (edges), all else as long as it is so (levels). A token names
//! what is ready: its kind in the uppermost byte, and below the key of a flow.
//!
//! # Mustn't
//! trust a frame: the tap sees them before the kernel has checked anything. What is read is read by [`crate::wire`], and what may
//! become a flow is decided by [`crate::policy`], both without a socket in sight.

mod capture;
mod counters;
mod echo;
mod following;
mod host;
mod names;
mod pipes;
mod pool;
mod published;
mod pump;
mod room;
mod sandbox;
mod slab;
mod tcp;
mod timers;
mod trace;
mod tun;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ctr_sys::net::datagram::{BATCH, receive};
use ctr_sys::net::options::Family;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{RecvFlags, SendFlags, Shutdown, sendto, shutdown};

use self::capture::Capture;
use self::echo::Echoes;
use self::names::Questions;
use self::pool::Pool;
use self::published::Published;
use self::pump::{End, Ready, Tools};
use self::room::Room;
use self::slab::Key;
use self::tcp::Streams;
use self::timers::{Due, Timers};
use self::trace::Trace;
use self::tun::Tun;
use self::udp::Datagrams;
use crate::address::Inner;
use crate::control::{self, Order};
use crate::counters::{Counters, Limit};
use crate::dns::names::Names;
use crate::looking::Looking;
use crate::policy::Policy;
use crate::router::{self, At, Built, Diverted, Doing, Ports, Router, RouterError, Wanted};
use crate::rung::{Rung, Standing};

/// How many events are taken at a time.
const EVENTS: usize = 128;
/// How much of a packet the tap reads: no first packet is longer, and an echo request may be.
const FRAME: usize = 66 << 10;
/// How many turns the tap gets before the others get theirs.
const TAP_TURNS: usize = 2;
/// How long what the container has said may take to be heard, once it is gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often what waits is looked at then.
const LAST_TURNS: usize = 256;
/// How long nobody is accepted where there are no descriptors, before that is tried again.
const BREATH: Duration = Duration::from_secs(1);

/// All that is told of a socket of a connection, once for each change.
const EDGES: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

/// What is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Control,
    Tap,
    /// Connections to accept.
    Streams(Family),
    /// The catcher.
    Datagrams(Family),
    Stream(End, Key),
    Near(Key),
    Far(Key),
    Echo(Key),
    /// Datagrams that ask for names.
    Questions(Family),
    /// Connections that ask for names, to be accepted.
    LongQuestions(Family),
    Asker(Key),
    Attempt(Key),
    /// Connections to a published port, to be accepted.
    Published(Key),
    /// All datagrams.
    DatagramTap,
    /// Connections to accept that are for one address.
    Entrance(Key),
}

impl Source {
    const fn kind(self) -> u64 {
        match self {
            Self::Control => 0,
            Self::Tap => 1,
            Self::Streams(Family::V4) => 2,
            Self::Streams(Family::V6) => 3,
            Self::Datagrams(Family::V4) => 4,
            Self::Datagrams(Family::V6) => 5,
            Self::Stream(End::Outer, _) => 6,
            Self::Stream(End::Inner, _) => 7,
            Self::Near(_) => 8,
            Self::Far(_) => 9,
            Self::Echo(_) => 10,
            Self::Questions(Family::V4) => 11,
            Self::Questions(Family::V6) => 12,
            Self::LongQuestions(Family::V4) => 13,
            Self::LongQuestions(Family::V6) => 14,
            Self::Asker(_) => 15,
            Self::Attempt(_) => 16,
            Self::Published(_) => 17,
            Self::DatagramTap => 18,
            Self::Entrance(_) => 19,
        }
    }

    fn token(self) -> u64 {
        let key = match self {
            Self::Stream(_, key)
            | Self::Near(key)
            | Self::Far(key)
            | Self::Echo(key)
            | Self::Asker(key)
            | Self::Attempt(key)
            | Self::Published(key)
            | Self::Entrance(key) => key.to_bits(),
            _ => 0,
        };
        self.kind() << 56 | key
    }

    fn of(token: u64) -> Option<Self> {
        let key = Key::from_bits(token);
        Some(match token >> 56 {
            0 => Self::Control,
            1 => Self::Tap,
            2 => Self::Streams(Family::V4),
            3 => Self::Streams(Family::V6),
            4 => Self::Datagrams(Family::V4),
            5 => Self::Datagrams(Family::V6),
            6 => Self::Stream(End::Outer, key),
            7 => Self::Stream(End::Inner, key),
            8 => Self::Near(key),
            9 => Self::Far(key),
            10 => Self::Echo(key),
            11 => Self::Questions(Family::V4),
            12 => Self::Questions(Family::V6),
            13 => Self::LongQuestions(Family::V4),
            14 => Self::LongQuestions(Family::V6),
            15 => Self::Asker(key),
            16 => Self::Attempt(key),
            17 => Self::Published(key),
            18 => Self::DatagramTap,
            19 => Self::Entrance(key),
            _ => return None,
        })
    }
}

/// The network as this process serves it.
#[derive(Debug)]
struct Netd {
    epoll: OwnedFd,
    /// Until the end begins.
    control: Option<OwnedFd>,
    router: Router,
    /// What there is in place of a router's sockets.
    tun: Option<Tun>,
    pool: Arc<Pool>,
    inner: Inner,
    policy: Policy,
    /// When the policy was told the host's addresses.
    host_found: Option<Instant>,
    tools: Tools,
    frames: Vec<u8>,
    timers: Timers,
    streams: Streams,
    datagrams: Datagrams,
    echoes: Echoes,
    questions: Questions,
    published: Published,
    counters: Counters,
    trace: Trace,
    capture: Capture,
    room: Room,
    /// When this turn began.
    now: Instant,
}

/// Serves the network that the other end of standard input asks for, until that is closed: all that this program does.
///
/// # Errors
/// The router could not be made: the other end was told.
pub fn serve() -> Result<(), RouterError> {
    let doing = "hear what is asked for";
    // A terminal that whoever started us had open would have no end as long as we have it.
    ctr_sys::memory::close_inherited().doing("close what is not ours")?;
    // Nor could a disk be unmounted on which he stands.
    rustix::process::chdir(c"/").doing(doing)?;
    let control = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).doing(doing)?;
    let mut first = control::next(&control, RecvFlags::empty()).doing(doing)?;
    let mut looking = Looking::default();
    if let Some(Order::Look(wanted)) = first {
        looking = wanted;
        first = control::next(&control, RecvFlags::empty()).doing(doing)?;
    }
    let (settings, at) = match first {
        Some(Order::Begin { settings, container }) => (settings, At::NewFor(container)),
        Some(Order::Succeed { settings, router }) => (settings, At::There(router)),
        Some(_) => return Err(Errno::BADMSG).doing(doing),
        None => return Ok(()),
    };
    // It was started by a descriptor, perhaps, whose number would be its name.
    rustix::thread::set_name(control::PROCESS_NAME).ok();
    let is_heard = matches!(at, At::NewFor(_));
    let copy = control.try_clone().map_err(|_full| Errno::MFILE).doing("copy a descriptor")?;
    match Netd::start(copy, at, *settings, looking) {
        Ok((mut netd, standing)) => {
            if is_heard {
                control::ready(&control, netd.router.namespace.as_fd(), netd.inner, standing)
                    .doing("say that all is ready")?;
            }
            drop(control);
            // Most of it made the router. What cannot be let go of is kept.
            ctr_sys::memory::release_program().ok();
            let ended = netd.run().doing("wait for packets");
            netd.capture.end();
            netd.trace.end();
            ended
        }
        Err(error) => {
            if is_heard {
                // Who does not listen will see that we are gone.
                control::failed(&control, &error).ok();
            }
            Err(error)
        }
    }
}

impl Netd {
    fn start(
        control: OwnedFd,
        at: At,
        settings: control::Settings,
        looking: Looking,
    ) -> Result<(Self, Standing), RouterError> {
        let pool = Arc::new(Pool::default());
        let wanted = (settings.rung, looking.capture.is_some());
        let (Built { mut router, inner, standing }, frames) = route(&pool, at, settings.inner, wanted)?;
        let device = router.tap.take_if(|_| router.rung == Rung::Tun);
        let tun = device.map(|device| Tun::new(device, Instant::now()));
        let epoll = epoll::create(CreateFlags::CLOEXEC).doing("wait for packets")?;
        let room = Room::new(epoll.as_fd());
        let policy = Policy::new(inner, settings.options);
        let netd = Self {
            epoll,
            control: Some(control),
            router,
            tun,
            pool,
            inner,
            policy,
            host_found: None,
            tools: Tools::default(),
            frames: vec![0; BATCH * FRAME],
            timers: Timers::default(),
            streams: Streams::default(),
            datagrams: Datagrams::default(),
            echoes: Echoes::default(),
            questions: Questions::new(
                Names::new(inner, &settings.called),
                settings.resolvers,
                Instant::now(),
            ),
            published: Published::default(),
            counters: Counters::default(),
            capture: match frames.zip(looking.capture) {
                Some((frames, file)) => Capture::begin(frames, file).doing("capture frames")?,
                None => Capture::default(),
            },
            trace: Trace::begin(looking.trace).doing("say what becomes of flows")?,
            room,
            now: Instant::now(),
        };
        netd.watch_all().doing("wait for packets")?;
        sandbox::enter(netd.router.rung).doing("give up what is not needed any more")?;
        Ok((netd, standing))
    }

    fn watch_all(&self) -> Result<(), Errno> {
        if let Some(control) = &self.control {
            self.watch(control.as_fd(), Source::Control)?;
        }
        let taps = [(&self.router.tap, Source::Tap), (&self.router.datagrams, Source::DatagramTap)];
        for (tap, source) in taps {
            tap.iter().try_for_each(|tap| self.watch(tap.as_fd(), source))?;
        }
        self.tun.iter().try_for_each(|tun| self.watch(tun.device(), Source::Tap))?;
        for ports in &self.router.ports {
            if let Some(Diverted { streams, datagrams }) = &ports.diverted {
                self.watch(streams.as_fd(), Source::Streams(ports.family))?;
                self.watch(datagrams.as_fd(), Source::Datagrams(ports.family))?;
            }
            self.watch(ports.questions.as_fd(), Source::Questions(ports.family))?;
            self.watch(ports.long_questions.as_fd(), Source::LongQuestions(ports.family))?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), Errno> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let rest = if self.has_more() {
                Some(rustix::event::Timespec::default())
            } else {
                self.timers.rest(Instant::now())
            };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), rest.as_ref()) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
            self.now = Instant::now();
            for event in events.drain(..) {
                let (data, flags) = (event.data, event.flags);
                match Source::of(data.u64()) {
                    Some(Source::Control) if !self.obey()? => self.begin_to_end(),
                    Some(source) => self.take(source, flags),
                    None => {}
                }
            }
            self.streams_take_more();
            self.move_more();
            while let Some(due) = self.timers.pop(self.now) {
                match due {
                    Due::Stream(key) if self.tun.is_some() => self.flow_is_due(key),
                    Due::Stream(key) => self.stream_is_due(key),
                    Due::Datagrams(key) => self.pair_is_due(key),
                    Due::Echo(key) => self.echo_is_due(key),
                    Due::Questions => self.questions_are_due(),
                    Due::Resolvers => self.go_on_asking(),
                    Due::Asker(key) => self.asker_is_due(key),
                    Due::Accept => self.accept_if_full(),
                    Due::End => return Ok(()),
                }
            }
            if self.control.is_none() && self.are_streams_over() {
                return Ok(());
            }
        }
    }

    /// Something is ready.
    fn take(&mut self, source: Source, flags: EventFlags) {
        match source {
            // It was heard.
            Source::Control => {}
            Source::Tap if self.tun.is_some() => drop(self.read_device()),
            Source::Tap => self.read_tap(),
            Source::Streams(family) => drop(self.accept_streams(family)),
            Source::Datagrams(family) => drop(self.catch_datagrams(family)),
            Source::Stream(_, key) if self.tun.is_some() => self.flow_is_ready(key, told(flags)),
            Source::Stream(end, key) => self.stream_is_ready(end, key, told(flags)),
            Source::Near(key) => self.near_is_ready(key),
            Source::Far(key) => self.far_is_ready(key, flags.contains(EventFlags::ERR)),
            Source::Echo(key) => self.echo_is_ready(key),
            Source::Questions(family) => self.hear_questions(family),
            Source::LongQuestions(family) => self.accept_askers(family),
            Source::Asker(key) => self.asker_is_ready(key),
            Source::Attempt(key) => self.attempt_is_ready(key),
            Source::Published(key) => self.accept_arrivals(key),
            Source::DatagramTap => drop(self.see_datagrams()),
            Source::Entrance(key) => drop(self.accept_at_entrance(key)),
        }
    }

    fn has_more(&self) -> bool {
        self.streams.has_more() || self.tun.as_ref().is_some_and(|tun| tun.streams.has_more())
    }

    fn are_streams_over(&self) -> bool {
        self.streams.are_over() && self.tun.as_ref().is_none_or(|tun| tun.streams.are_over())
    }

    fn streams_take_more(&mut self) {
        if self.streams.has_more() {
            self.pump_more();
        }
    }

    /// First packets, and requests for an echo.
    fn read_tap(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        for _ in 0..TAP_TURNS {
            let mut arrivals = [None; BATCH];
            let Some(tap) = &self.router.tap else { break };
            let Ok(count) = receive(tap.as_fd(), &mut frames, FRAME, &mut arrivals) else { break };
            for (arrival, room) in arrivals.iter().flatten().zip(frames.chunks_exact(FRAME)) {
                if let Some(frame) = room.get(..arrival.length).filter(|_| !arrival.cut) {
                    self.first_packet(frame, arrival.checksum_ready);
                }
            }
            if count < BATCH {
                break;
            }
        }
        self.frames = frames;
    }

    fn first_packet(&mut self, frame: &[u8], checksum_ready: bool) {
        // Which of the two it is decides who reads it; either finds out what else is wrong with it.
        match crate::wire::Echo::parse(frame, checksum_ready) {
            Ok(echo) => self.ask_for_echo(&echo, frame),
            Err(_) => self.begin_stream(frame, checksum_ready),
        }
    }

    /// There is no descriptor for one more connection: they wait in the kernel, where they were accepted.
    fn stop_accepting(&mut self) {
        self.streams.is_full = true;
        self.counters.hits(Limit::Descriptors);
        for ports in &self.router.ports {
            // What is not watched is not forgotten.
            ports.diverted.as_ref().map(|it| epoll::delete(&self.epoll, &it.streams));
            epoll::delete(&self.epoll, &ports.long_questions).ok();
        }
        self.watch_entrances(false);
        self.watch_published(false);
        // Where what took the descriptors ends in silence nobody else would notice.
        self.timers.set(self.now, BREATH, Due::Accept);
    }

    fn accept_again(&self) {
        for ports in &self.router.ports {
            // It fails where it is watched still.
            ports.diverted.as_ref().map(|it| self.watch(it.streams.as_fd(), Source::Streams(ports.family)));
            self.watch(ports.long_questions.as_fd(), Source::LongQuestions(ports.family)).ok();
        }
        self.watch_entrances(true);
        self.watch_published(true);
    }

    /// The container is gone, and who supervised it wants its ports back, which the end of the conversation tells. What the
    /// container said last is still said, as by the kernel of a host.
    fn begin_to_end(&mut self) {
        let control = self.control.take();
        self.hear_last_words();
        self.tell_pairs();
        self.trace.say(|| "the container has ended");
        self.trace.ends_with_the_container();
        self.watch_published(false);
        self.published = Published::default();
        self.end_datagrams();
        self.streams.keep_open_ones();
        self.keep_open_flows();
        if self.streams.are_over() {
            // Who waits for the end finds all frames there.
            self.capture.end();
        }
        if let Some(control) = control {
            // It is our standard input too, which stays open: only this tells the other end.
            shutdown(&control, Shutdown::Both).ok();
            epoll::delete(&self.epoll, &control).ok();
        }
        self.timers.set(self.now, FAREWELL, Due::End);
    }

    /// What the container said before its end may wait in the router still: datagrams, and connections that nobody has accepted.
    fn hear_last_words(&mut self) {
        for family in Family::BOTH {
            // Its network may outlive it with somebody who goes on: they are heard only so long.
            let turns = 0..LAST_TURNS;
            turns.clone().take_while(|_| self.accept_streams(family)).count();
            turns.take_while(|_| self.catch_datagrams(family)).count();
        }
        self.accept_at_all_entrances();
        (0..LAST_TURNS).take_while(|_| self.see_datagrams()).count();
        (0..LAST_TURNS).take_while(|_| self.read_device()).count();
        self.hear_all_nears();
    }

    /// Does the next thing that the supervisor wants; false if that is gone.
    fn obey(&mut self) -> Result<bool, Errno> {
        let Some(control) = &self.control else { return Ok(true) };
        self.room.give(control::beside_next(control));
        let next = control::next(control, RecvFlags::DONTWAIT);
        self.room.keep_back(self.epoll.as_fd());
        match next {
            Ok(Some(order)) => self.follow(order).map(|()| true),
            Ok(None) => Ok(false),
            Err(Errno::AGAIN) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    fn follow(&mut self, order: Order) -> Result<(), Errno> {
        match order {
            Order::Resolvers(file) => self.hear_of_resolvers(file.as_ref()),
            Order::Publish(ports) => {
                for (leads, socket) in ports {
                    self.publish(socket, leads)?;
                }
            }
            Order::Withdraw(place) => self.withdraw(place),
            Order::Count(to) => self.tell_counters(&to),
            // There is one beginning.
            Order::Look(_) | Order::Begin { .. } | Order::Succeed { .. } => return Err(Errno::BADMSG),
        }
        Ok(())
    }

    /// Has a socket tell as long as there is something to read.
    fn watch(&self, socket: BorrowedFd<'_>, source: Source) -> Result<(), Errno> {
        epoll::add(&self.epoll, socket, EventData::new_u64(source.token()), EventFlags::IN)
    }

    /// The same, of a socket of a connection. Of one that is known to have room it is asked once that is gone: all of them begin with it,
    /// and few ever have none.
    fn watch_told(&self, socket: BorrowedFd<'_>, source: Source, told: Ready) -> Result<(), Errno> {
        if !told.writable {
            return self.watch_edges(socket, source);
        }
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(source.token()), flags)
    }

    /// Has a socket tell each change.
    fn watch_edges(&self, socket: BorrowedFd<'_>, source: Source) -> Result<(), Errno> {
        epoll::add(&self.epoll, socket, EventData::new_u64(source.token()), EDGES)
    }

    fn ports(&self, family: Family) -> Option<&Ports> {
        self.router.ports.iter().find(|ports| ports.family == family)
    }

    /// Who tells the container what its router has to tell.
    fn gateway_of(&self, address: IpAddr) -> IpAddr {
        match (address, self.inner.v6) {
            (IpAddr::V6(_), Some(v6)) => v6.gateway.into(),
            _ => self.inner.v4.gateway.into(),
        }
    }

    /// Sends a whole packet to an address inside. One that is lost is asked for again.
    fn send_inside(&self, to: IpAddr, packet: &[u8]) {
        if self.tun.is_some() {
            return self.write_packet(packet);
        }
        let to = SocketAddr::new(to, 0);
        if let Some(ports) = self.ports(Family::of(&to)) {
            sendto(&ports.answers, packet, SendFlags::DONTWAIT, &to).ok();
        }
    }
}

/// Has a thread make the router, which then stays there to make sockets.
fn route(
    pool: &Arc<Pool>,
    at: At,
    inner: Inner,
    wanted: Wanted,
) -> Result<(Built, Option<OwnedFd>), RouterError> {
    let (says, hears) = mpsc::sync_channel(1);
    let pool = Arc::clone(pool);
    let thread = std::thread::Builder::new().name("router".to_owned()).spawn(move || {
        let built = router::build(at, &inner, wanted).and_then(|built| {
            let frames = wanted.1.then(|| router::all_frames(built.router.rung)).transpose()?;
            Ok((built, frames))
        });
        let rung = built.as_ref().ok().map(|(built, _)| built.router.rung);
        // Nobody listens only where the process ends.
        if says.send(built).is_ok()
            && let Some(rung) = rung.filter(|rung| *rung != Rung::Tun)
            && sandbox::enter_router().is_ok()
        {
            pool.serve(rung);
        }
    });
    thread.map_err(|_limit| Errno::AGAIN).doing("start a thread")?;
    hears.recv().map_err(|_gone| Errno::PIPE).doing("make a router")?
}

/// Has a socket tell of room too; if there is some again by now, that is told.
fn watch_for_room(epoll: &OwnedFd, socket: BorrowedFd<'_>, source: Source) -> Result<(), Errno> {
    epoll::modify(epoll, socket, EventData::new_u64(source.token()), EDGES)
}

/// What the kernel tells of a socket of a connection.
fn told(flags: EventFlags) -> Ready {
    let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
    Ready {
        readable: broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
        writable: broken || flags.contains(EventFlags::OUT),
        hung_up: broken || flags.contains(EventFlags::RDHUP),
        broken,
    }
}

/// An address without what only this machine's interfaces mean.
const fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_were_written() {
        let key = Key::from_bits(0x00ab_cdef_1234_5678);
        let flows = [
            Source::Stream(End::Outer, key),
            Source::Stream(End::Inner, key),
            Source::Near(key),
            Source::Far(key),
            Source::Echo(key),
            Source::Asker(key),
            Source::Attempt(key),
            Source::Published(key),
            Source::Entrance(key),
        ];
        let sockets = Family::BOTH.into_iter().flat_map(|family| {
            [
                Source::Streams(family),
                Source::Datagrams(family),
                Source::Questions(family),
                Source::LongQuestions(family),
            ]
        });
        for source in
            flows.into_iter().chain(sockets).chain([Source::Control, Source::Tap, Source::DatagramTap])
        {
            assert_eq!(Source::of(source.token()), Some(source));
        }
        assert_eq!(Source::of(u64::MAX), None);
    }
}
