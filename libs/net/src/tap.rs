//! The taps: copies of the first packets of what a container begins; of all of its datagrams, where nothing diverts them.

use ctr_sys::net::filter::{Instruction, Width};

/// `IPPROTO_UDP`.
const UDP: u32 = 17;

/// Everything up to the longest packet there is.
const TAKE: u32 = 0x0004_0000;
const LEAVE: u32 = 0;

/// Takes what is this.
const fn is(number: u32) -> [Instruction; 3] {
    [Instruction::jump_equal(number, 0, 1), Instruction::answer(TAKE), Instruction::answer(LEAVE)]
}

/// Chooses, of frames that begin with the header of IP, those that begin a connection and requests for an echo.
///
/// It only spares the rest the way up here: what comes is read anew, by [`crate::wire`].
pub(crate) fn program() -> Vec<Instruction> {
    let (load, at) = (Instruction::load, Instruction::load_indexed);
    let (equal, answer) = (Instruction::jump_equal, Instruction::answer);
    // SYN, and neither ACK nor RST.
    let begins = [Instruction::and(0x16), equal(0x02, 0, 1), answer(TAKE), answer(LEAVE)];
    let tcp4 = [&[Instruction::index_header(0), at(Width::Byte, 13)][..], &begins].concat();
    let echo4 = [&[Instruction::index_header(0), at(Width::Byte, 0)][..], &is(8)].concat();
    let tcp6 = [&[load(Width::Byte, 53)][..], &begins].concat();
    let echo6 = [&[load(Width::Byte, 40)][..], &is(128)].concat();
    let four = branch(load(Width::Byte, 9), (6, &tcp4), (1, &echo4));
    let six = branch(load(Width::Byte, 6), (6, &tcp6), (58, &echo6));
    let version = [load(Width::Byte, 0), Instruction::and(0xf0)];
    [&version[..], &otherwise(&[(0x40, &four), (0x60, &six)])].concat()
}

/// Chooses datagrams, of frames that begin with the header of a link.
pub(crate) fn datagrams() -> Vec<Instruction> {
    /// From here on is the header of IP (`SKF_NET_OFF`).
    const NETWORK: u32 = 0xfff0_0000;
    let load = |at| Instruction::load(Width::Byte, NETWORK + at);
    let carries = |at| [&[load(at)][..], &is(UDP)].concat();
    let (four, six) = (carries(9), carries(6));
    let version = [load(0), Instruction::and(0xf0)];
    [&version[..], &otherwise(&[(0x40, &four), (0x60, &six)])].concat()
}

/// A frame of [`ctr_sys::net::options::whole_tap`]: `struct virtio_net_hdr`, the header of the link, the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<'a> {
    /// From the header of IP on.
    pub packet: &'a [u8],
    /// It is several datagrams of this length, but for the last: the sender left the cutting to its network card.
    pub segment: Option<u16>,
}

impl<'a> Whole<'a> {
    /// Takes one apart; what was left in one piece in any other way is nothing that we know.
    #[must_use]
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        /// `VIRTIO_NET_HDR_GSO_NONE` and `VIRTIO_NET_HDR_GSO_UDP_L4`.
        const ALONE: u8 = 0;
        const SEVERAL: u8 = 5;
        let (told, frame) = frame.split_first_chunk::<10>()?;
        let (_link, packet) = frame.split_first_chunk::<14>()?;
        let &[_, kind, _, _, low, high, ..] = told;
        let segment = match kind {
            ALONE => None,
            // The kernel's own, in its byte order.
            SEVERAL => Some(u16::from_ne_bytes([low, high])).filter(|length| *length > 0),
            _ => return None,
        };
        Some(Self { packet, segment })
    }
}

/// Loads something, and goes on by what it is.
fn branch(loaded: Instruction, one: (u32, &[Instruction]), two: (u32, &[Instruction])) -> Vec<Instruction> {
    [&[loaded][..], &otherwise(&[one, two])].concat()
}

/// Goes on with what belongs to the accumulator's value, or leaves the frame.
fn otherwise(cases: &[(u32, &[Instruction])]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (value, then) in cases {
        // These are a dozen of instructions each.
        let over = u8::try_from(then.len()).unwrap_or(u8::MAX);
        program.push(Instruction::jump_equal(*value, 0, over));
        program.extend_from_slice(then);
    }
    program.push(Instruction::answer(0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_apart() {
        let frame = |kind: u8, segment: u16| {
            let [low, high] = segment.to_ne_bytes();
            [&[1, kind, 42, 0, low, high, 34, 0, 6, 0][..], &[0; 14], b"packet"].concat()
        };
        let whole = |segment| Some(Whole { packet: b"packet", segment });
        assert_eq!(Whole::of(&frame(0, 0)), whole(None));
        assert_eq!(Whole::of(&frame(5, 1200)), whole(Some(1200)));
        assert_eq!(Whole::of(&frame(5, 0)), whole(None));
        // Segments of TCP, and fragments.
        assert_eq!((Whole::of(&frame(1, 1200)), Whole::of(&frame(3, 1200))), (None, None));
        assert_eq!(Whole::of(&frame(0, 0)[..23]), None);
    }
}
