//! Executes plans: what `ctr-init` is.
//!
//! # Process context
//! One thread, no heap, no C library: every step is a few system calls on what the plan names. The process is on its
//! way from the launcher's trust to the container's; after the step that gives up a right, no later one may need it.
//!
//! # Failure
//! The first step that fails is reported by its number, and the process ends. A best-effort step is reported and passed
//! over. If the launcher is gone, the process ends without a word.

#![expect(unsafe_code, reason = "maps the plan and execs")]

use core::ffi::{CStr, c_char};
use core::ptr::null_mut;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, fstat};
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use super::{MAX_SLOTS, Planned, Slot, Step, Strings, Words, steps};
use crate::clone::leave;
use crate::control::{self, Order, Report};
use crate::packet::MOST_BESIDE;
use crate::raw;

/// The exit code of a process that could not do what it was made for.
const FAILED: i32 = 125;
/// That of one whose command cannot be run.
const FOUND: i32 = 126;
/// That of one whose command is not there.
const MISSING: i32 = 127;

/// What executes steps.
pub(super) struct Engine {
    control: Option<OwnedFd>,
    slots: [Option<OwnedFd>; MAX_SLOTS],
    /// The number of the step that is being executed.
    at: u32,
    /// The exit code if that fails.
    failure: i32,
}

/// Takes orders from the launcher until one ends in an exec, or the launcher is gone.
pub fn serve(control: OwnedFd) -> ! {
    let mut engine =
        Engine { control: Some(control), slots: [const { None }; MAX_SLOTS], at: 0, failure: FAILED };
    // Whoever gave the orders is gone or does not speak our language: there is nobody to tell.
    engine.obey().ok();
    leave(FAILED)
}

impl Engine {
    fn obey(&mut self) -> Result<()> {
        loop {
            let mut fds = [const { None }; MOST_BESIDE];
            let mut count = 0;
            let order = control::next_order(self.control()?, |fd| {
                if let Some(place) = fds.get_mut(count) {
                    *place = Some(fd);
                    count += 1;
                }
            })?;
            match order {
                None => return Ok(()),
                Some(Order::Go) => {}
                Some(Order::Take { base }) => {
                    for (fd, slot) in fds.iter_mut().take(count).zip(base..) {
                        self.fill_slot(Slot(slot), fd.take().ok_or(Errno::BADF)?)?;
                    }
                }
                Some(Order::Execute) => {
                    let plan = map(fds[0].take().ok_or(Errno::BADF)?)?;
                    self.execute(plan)?;
                }
            }
        }
    }

    /// Executes a plan, and says so.
    fn execute(&mut self, plan: &[u8]) -> Result<()> {
        let mut decoded = steps(plan);
        self.at = 0;
        for planned in &mut decoded {
            let Planned { step, best_effort } = planned;
            match self.step(&step) {
                Ok(()) => {}
                Err(errno) if best_effort => self.notice(errno)?,
                Err(errno) => self.fail(errno),
            }
            self.at += 1;
        }
        if !decoded.is_at_end() {
            self.fail(Errno::PROTO);
        }
        control::report(self.control()?, &Report::Done, None)
    }

    /// Reports what did not go as it should have.
    pub(super) fn notice(&self, errno: Errno) -> Result<()> {
        let report = Report::Noticed { step: self.at, errno: errno.raw_os_error() };
        control::report(self.control()?, &report, None)
    }

    fn fail(&self, errno: Errno) -> ! {
        let report = Report::Failed { step: self.at, errno: errno.raw_os_error() };
        if let Ok(socket) = self.control() {
            // If this does not arrive, the launcher sees the socket close without a word, which is a failure too.
            control::report(socket, &report, None).ok();
        }
        leave(if self.failure == FOUND && errno == Errno::NOENT { MISSING } else { self.failure })
    }

    /// Says that all is there but the command, if that can be run, and waits for the word.
    fn wait_for_start(&mut self, files: Strings<'_>, effective: u64, keep: Words<'_>) -> Result<()> {
        let held = crate::cred::sets()?;
        crate::cred::set_sets(crate::cred::Sets { effective, ..held })?;
        let found = look_for(files);
        crate::cred::set_sets(held)?;
        found?;
        self.close_all_but(keep)?;
        control::report(self.control()?, &Report::Waiting, None)?;
        control::wait_for_go(self.control()?)
    }

    /// The socket to the launcher.
    pub(super) fn control(&self) -> Result<BorrowedFd<'_>> {
        self.control.as_ref().map(AsFd::as_fd).ok_or(Errno::PIPE)
    }

    /// Lets go of all descriptors: for a process that stays behind.
    pub(super) fn forget_descriptors(&mut self) {
        self.control = None;
        self.drop_slots();
    }

    /// Lets go of what steps have made and were given.
    pub(super) fn drop_slots(&mut self) {
        self.slots.fill_with(|| None);
    }

    /// Takes a descriptor out of its slot.
    pub(super) fn take(&mut self, slot: Slot) -> Option<OwnedFd> {
        self.slots.get_mut(usize::from(slot.0)).and_then(Option::take)
    }

    /// What is in a slot.
    pub(super) fn slot(&self, slot: Slot) -> Result<BorrowedFd<'_>> {
        self.slots.get(usize::from(slot.0)).and_then(Option::as_ref).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Puts a descriptor into a slot.
    pub(super) fn fill_slot(&mut self, slot: Slot, fd: OwnedFd) -> Result<()> {
        *self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::BADF)? = Some(fd);
        Ok(())
    }

    /// Whether a descriptor is one of the plan's.
    pub(super) fn holds(&self, number: u32) -> bool {
        let held = self.slots.iter().chain([&self.control]).flatten();
        held.into_iter().any(|fd| fd.as_raw_fd().unsigned_abs() == number)
    }

    fn step(&mut self, step: &Step<'_>) -> Result<()> {
        match *step {
            Step::Guard {} => crate::cred::set_dumpable(false),
            Step::Join { namespace, kind } => self.join(namespace, kind),
            Step::Bear { namespaces } => self.bear(namespaces),
            Step::Enter { process, namespaces, root } => self.enter(process, namespaces, root),
            Step::Descend { stays, drains, leash } => self.descend(stays, drains, leash),
            Step::Root {} => crate::cred::take_root(),
            Step::Unshare { namespaces } => super::enter::unshare(namespaces),
            Step::Isolate {} => super::enter::isolate(),
            Step::Hostname { name } => rustix::system::sethostname(name.to_bytes()),
            Step::Domainname { name } => rustix::system::setdomainname(name.to_bytes()),
            Step::Loopback {} => super::enter::bring_loopback_up(),
            Step::Fresh { kind, options, attributes, fallback, to, on: _ } => {
                self.fresh(kind, options, attributes, fallback, to)
            }
            Step::Copy { path, recursive, device, attributes, to } => {
                self.copy(path, recursive, device, attributes, to)
            }
            Step::Cover { mount } => crate::mount::attach_over_root(self.slot(mount)?),
            Step::Folder { inside, name, mode } => self.folder(inside, name, mode),
            Step::Link { inside, name, target } => rustix::fs::symlinkat(target, self.slot(inside)?, name),
            Step::Place { mount, inside, name, make } => self.place(mount, inside, name, make),
            Step::Attach { mount, root, path, make, plain } => self.attach(mount, root, path, make, plain),
            Step::Attributes { mount, set, clear, propagation, recursive, on: _ } => {
                self.attributes(mount, (set, clear, propagation), recursive)
            }
            Step::Hide { base, path, null, empty } => self.hide(base, path, null, empty),
            Step::Freeze { base, path } => self.freeze(base, path),
            Step::Write { base, path, value } => self.write(base, path, value),
            Step::Pivot { root } => self.pivot(root),
            Step::Depart { root } => self.depart(root),
            Step::Fill { mount, adopt, root, path } => self.fill(mount, adopt, root, path),
            Step::Folders { root, path } => self.folders(root, path),
            Step::Locate { root, path, to } => self.locate(root, path, to),
            Step::Terminal { devpts, uid, rows, columns, keep, to } => {
                self.terminal(devpts, uid, (rows, columns), (keep, to))
            }
            Step::Console { terminal, inside, name } => self.console(terminal, inside, name),
            Step::Session {} => rustix::process::setsid().map(drop),
            Step::Control { terminal } => self.take_terminal(terminal),
            Step::Keyring {} => self.keyring(),
            Step::NoKeyring {} => super::identity::deny_keyrings(),
            Step::Limit { resource, soft, hard } => super::identity::limit(resource, soft, hard),
            Step::Signals {} => super::supervise::reset_signals(),
            Step::Umask { mask } => {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
                Ok(())
            }
            Step::Bound { keep } => crate::cred::bound(keep),
            Step::Groups { ids } => super::identity::set_groups(ids),
            Step::User { uid, gid } => super::identity::become_user(uid, gid),
            Step::Workdir { root, path } => self.change_directory(root, path),
            Step::Ambient { inheritable, ambient } => super::identity::set_ambient(inheritable, ambient),
            Step::NoNewPrivileges {} => crate::cred::forbid_new_privileges(),
            Step::DieWithParent { signal } => self.die_with_parent(signal),
            Step::Close { keep } => self.close(keep),
            Step::Capabilities { effective, permitted, inheritable } => {
                crate::cred::set_sets(crate::cred::Sets { effective, permitted, inheritable })
            }
            Step::Seccomp { program, flags } => self.seccomp(program, flags),
            Step::Supervise { terminal } => self.supervise(terminal),
            Step::Await { files, effective, keep } => self.wait_for_start(files, effective, keep),
            Step::Exec { files, arguments, environment } => {
                self.failure = FOUND;
                exec(files, arguments, environment)
            }
        }
    }
}

/// A plan in memory, for as long as the process lives.
fn map(plan: OwnedFd) -> Result<&'static [u8]> {
    let length = usize::try_from(fstat(&plan)?.st_size).map_err(|_negative| Errno::INVAL)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let address = unsafe { mmap(null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, &plan, 0) }?;
    // SAFETY: the mapping is as long as the file, is never unmapped, and the file is sealed against change.
    Ok(unsafe { core::slice::from_raw_parts(address.cast::<u8>(), length) })
}

/// Whether one of the files can be run with the capabilities that are in effect, as exec asks; without the flag they would
/// not count for whoever is not root.
fn look_for(files: Strings<'_>) -> Result<()> {
    let mut worst = Errno::NOENT;
    for file in files.iter() {
        match rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => worst = errno,
        }
    }
    Err(worst)
}

/// Execs the first of the files that is there.
fn exec(files: Strings<'_>, arguments: Strings<'_>, environment: Strings<'_>) -> Result<()> {
    let arguments = vector(arguments)?;
    let environment = vector(environment)?;
    let mut worst = Errno::NOENT;
    for file in files.iter() {
        // SAFETY: both vectors end with a null pointer, and their strings lie in the plan, which stays mapped.
        let errno = unsafe { execve(file, arguments, environment) };
        match errno {
            // Not here: the next may have it. A file that is there but cannot be run is worth more as a reason.
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = Errno::ACCESS,
            other => return Err(other),
        }
    }
    Err(worst)
}

/// The call itself. Returns why it failed.
///
/// # Safety
/// Both vectors must end with a null pointer and hold pointers to strings that end with a NUL.
unsafe fn execve(file: &CStr, arguments: *const *const c_char, environment: *const *const c_char) -> Errno {
    let args = [file.as_ptr() as usize, arguments as usize, environment as usize, 0, 0, 0];
    // SAFETY: the file's name ends with a NUL, the vectors are the caller's promise.
    match unsafe { raw::call(libc::SYS_execve, args) } {
        Ok(_) => Errno::NOSYS,
        Err(errno) => errno,
    }
}

/// The vector that execve takes, in memory of its own.
fn vector(strings: Strings<'_>) -> Result<*const *const c_char> {
    let length = (strings.count() + 1) * size_of::<*const c_char>();
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let address =
        unsafe { mmap_anonymous(null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
    let vector = address.cast::<*const c_char>();
    for (at, string) in strings.iter().enumerate() {
        // SAFETY: `at` is less than the count, and the mapping has room for one pointer more than that.
        let place = unsafe { vector.add(at) };
        // SAFETY: the place lies in the new mapping, aligned as the page is. The last stays null.
        unsafe { place.write(string.as_ptr()) };
    }
    Ok(vector.cast_const())
}
