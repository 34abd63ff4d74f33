//! Every dialect the reader knows, archives that lie, and what the writer wrote read back by others.

use std::io::{Cursor, Read as _};

use super::writer::Writer;
use super::{Fault, Header, Kind, Limits, Reader, TarError, Time};

/// Builds archives byte by byte, also wrong ones.
#[derive(Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn block(mut self, set: &[(usize, &[u8])]) -> Self {
        let mut block = [0_u8; 512];
        let mut put = |start: usize, bytes: &[u8]| block[start..start + bytes.len()].copy_from_slice(bytes);
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, b"00000000000\0");
        put(136, b"00000000000\0");
        put(257, b"ustar\x0000");
        for (start, bytes) in set {
            put(*start, bytes);
        }
        put(148, b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    fn data(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn with(self, flag: u8, name: &[u8], bytes: &[u8], more: &[(usize, &[u8])]) -> Self {
        let size = format!("{:011o}\0", bytes.len());
        let mut set: Vec<(usize, &[u8])> = vec![(0, name), (124, size.as_bytes())];
        let flags = [flag];
        set.push((156, &flags));
        set.extend_from_slice(more);
        self.block(&set).data(bytes)
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.with(b'0', name.as_bytes(), bytes, &[])
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut all = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut total = rest + 1;
            while total != rest + total.to_string().len() {
                total = rest + total.to_string().len();
            }
            all.extend_from_slice(format!("{total} {key}=").as_bytes());
            all.extend_from_slice(value);
            all.push(b'\n');
        }
        self.with(b'x', b"PaxHeaders/x", &all, &[])
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

const GNU: (usize, &[u8]) = (257, b"ustar  \0");

type Read = Vec<(Header, Vec<(u64, Vec<u8>)>)>;

fn read(bytes: &[u8]) -> Result<Read, TarError> {
    // One byte at a time finds every place that believes in full reads.
    struct Slow<'a>(&'a [u8]);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = into.len().min(7);
            self.0.read(&mut into[..count])
        }
    }
    let slow = read_from(Slow(bytes));
    let fast = read_from(bytes);
    match (&slow, &fast) {
        (Ok(slow), Ok(fast)) => assert_eq!(joined(slow), joined(fast)),
        (Err(slow), Err(fast)) => assert_eq!(format!("{:?}", slow.fault), format!("{:?}", fast.fault)),
        _ => panic!("the answer depends on how much is read at once: {slow:?} {fast:?}"),
    }
    fast
}

fn joined(read: &Read) -> Vec<(&Header, Vec<(u64, u8)>)> {
    let bytes = |chunks: &[(u64, Vec<u8>)]| {
        chunks.iter().flat_map(|(at, bytes)| (*at..).zip(bytes.iter().copied())).collect::<Vec<_>>()
    };
    read.iter().map(|(header, chunks)| (header, bytes(chunks))).collect()
}

fn read_from(stream: impl std::io::Read) -> Result<Read, TarError> {
    let mut reader = Reader::new(stream, Limits::default());
    let mut all = Vec::new();
    while let Some(header) = reader.next()? {
        let mut chunks = Vec::new();
        while let Some(chunk) = reader.chunk()? {
            chunks.push((chunk.offset, chunk.bytes.to_vec()));
        }
        all.push((header, chunks));
    }
    reader.finish()?;
    Ok(all)
}

fn fault(bytes: &[u8]) -> Fault {
    read(bytes).map(drop).expect_err("a damaged archive was read").fault
}

#[test]
fn plain_entries_are_read() {
    let archive = Raw::default()
        .with(b'5', b"dir/", b"", &[(100, b"0001755\0"), (108, b"0001750\0")])
        .file("dir/file", b"hello")
        .with(b'2', b"dir/link", b"", &[(157, b"/target")])
        .with(b'1', b"dir/hard", b"", &[(157, b"dir/file")])
        .with(b'3', b"null", b"", &[(329, b"0000001\0"), (337, b"0000003\0")])
        .with(b'6', b"fifo", b"", &[])
        .with(0, b"old/", b"", &[(257, b"\0\0\0\0\0\0\0\0")])
        .file("last", b"")
        .end();
    let all = read(&archive).unwrap();
    let kinds: Vec<_> = all.iter().map(|(header, _)| header.kind).collect();
    use Kind::{CharDevice, Directory, Fifo, File, HardLink, Symlink};
    assert_eq!(kinds, [Directory, File, Symlink, HardLink, CharDevice, Fifo, Directory, File]);
    assert_eq!((all[0].0.mode, all[0].0.uid), (0o1755, 1000));
    assert_eq!(all[1].1, [(0, b"hello".to_vec())]);
    assert_eq!(all[2].0.link, b"/target");
    assert_eq!(all[4].0.device, (1, 3));
}

#[test]
fn names_come_from_prefix_gnu_and_pax_headers() {
    let long = "n".repeat(300);
    let nul = format!("{long}\0");
    let archive = Raw::default()
        .with(b'0', b"name", b"", &[(345, b"some/prefix")])
        .with(b'L', b"././@LongLink", nul.as_bytes(), &[GNU])
        .with(b'K', b"././@LongLink", b"target\0", &[GNU])
        .with(b'2', b"short", b"", &[GNU])
        .pax(&[("path", b"pax/\xc3\xa9"), ("mtime", b"12.25"), ("uid", b"4294967294")])
        .file("ustar", b"")
        // As in Go, the GNU name wins where both are given.
        .pax(&[("path", b"from-pax")])
        .with(b'L', b"././@LongLink", b"from-gnu\0", &[GNU])
        .file("x", b"")
        // Records reach one entry only.
        .file("plain", b"")
        .end();
    let all = read(&archive).unwrap();
    let names: Vec<_> = all.iter().map(|(header, _)| String::from_utf8_lossy(&header.path)).collect();
    assert_eq!(names, ["some/prefix/name", &long, "pax/é", "from-gnu", "plain"]);
    assert_eq!(all[1].0.link, b"target");
    assert_eq!(all[2].0.modified, Time { seconds: 12, nanos: 250_000_000 });
    assert_eq!(all[2].0.uid, 4_294_967_294);
    assert_eq!(all[4].0.modified, Time::default());
}

#[test]
fn times_and_numbers() {
    let time = |text: &[u8]| {
        let archive = Raw::default().pax(&[("mtime", text)]).file("f", b"").end();
        read(&archive).map(|all| all[0].0.modified)
    };
    let at = |seconds, nanos| Time { seconds, nanos };
    assert_eq!(time(b"1").unwrap(), at(1, 0));
    assert_eq!(time(b"1.5").unwrap(), at(1, 500_000_000));
    assert_eq!(time(b"1.1234567899").unwrap(), at(1, 123_456_789));
    assert_eq!(time(b"-1.25").unwrap(), at(-2, 750_000_000));
    assert_eq!(time(b"-1").unwrap(), at(-1, 0));
    for bad in [b"".as_slice(), b"1e3", b"1.-5", b"99999999999999999999", b"--1", b" 1", b".5"] {
        assert!(time(bad).is_err() || bad.is_empty(), "{bad:?}");
    }

    // Base 256: a size of 2³³ + 1, and an owner of 2³¹ + 5.
    let size = |field: &[u8]| {
        let archive = Raw::default().block(&[(0, b"f"), (156, b"0"), (124, field)]).0;
        let mut reader = Reader::new(archive.as_slice(), Limits::default());
        reader.next().map(|header| header.unwrap().size)
    };
    assert_eq!(size(b"\x80\0\0\0\0\0\0\x02\0\0\0\x01").unwrap(), (1 << 33) + 1);
    assert_eq!(size(b"       12345").unwrap(), 0o12345);
    for bad in [b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"0000000008\0\0", b"1 2 3 4 5 6 "] {
        assert!(matches!(size(bad).unwrap_err().fault, Fault::Malformed("size")), "{bad:?}");
    }
    assert!(size(b"\x81\0\0\0\0\0\0\0\0\0\0\0").is_err());
    let owner: &[(usize, &[u8])] = &[(0, b"f"), (156, b"0"), (108, b"\x80\0\0\0\x80\0\0\x05")];
    assert_eq!(read(&Raw::default().block(owner).end()).unwrap()[0].0.uid, (1 << 31) + 5);
}

#[test]
fn xattrs_are_kept_whole() {
    let archive = Raw::default()
        .pax(&[
            ("SCHILY.xattr.security.capability", b"\x01\0\0\x02=\n\0"),
            ("SCHILY.xattr.user.a", b"1"),
            ("SCHILY.xattr.user.a", b"2"),
            ("VENDOR.unknown", b"ignored"),
        ])
        .file("f", b"")
        .end();
    let xattrs = &read(&archive).unwrap()[0].0.xattrs;
    assert_eq!(xattrs.len(), 2);
    assert_eq!(xattrs[0], (b"security.capability".to_vec(), b"\x01\0\0\x02=\n\0".to_vec()));
    assert_eq!(xattrs[1], (b"user.a".to_vec(), b"2".to_vec()));
}

/// The same sparse file in the four ways GNU tar has written it: "AA" at 4, "B" at 10, 16 bytes in all.
#[test]
fn sparse_files_are_read_in_all_four_formats() {
    let octal = |value: u64| format!("{value:011o}\0");
    let (zero, two, one) = (octal(4), octal(2), octal(1));
    let (ten, sixteen) = (octal(10), octal(16));
    let old = Raw::default().with(
        b'S',
        b"f",
        b"AAB",
        &[
            GNU,
            (386, zero.as_bytes()),
            (398, two.as_bytes()),
            (410, ten.as_bytes()),
            (422, one.as_bytes()),
            (483, sixteen.as_bytes()),
        ],
    );
    let v00 = Raw::default()
        .pax(&[
            ("GNU.sparse.size", b"16"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"4"),
            ("GNU.sparse.numbytes", b"2"),
            ("GNU.sparse.offset", b"10"),
            ("GNU.sparse.numbytes", b"1"),
        ])
        .file("f", b"AAB");
    let v01 = Raw::default()
        .pax(&[("GNU.sparse.size", b"16"), ("GNU.sparse.name", b"f"), ("GNU.sparse.map", b"4,2,10,1")])
        .file("GNUSparseFile.1/f", b"AAB");
    let mut map = b"2\n4\n2\n10\n1\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"AAB");
    let v10 = Raw::default()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"f"),
            ("GNU.sparse.realsize", b"16"),
        ])
        .file("GNUSparseFile.1/f", &map);
    for (how, raw) in [("old", old), ("0.0", v00), ("0.1", v01), ("1.0", v10)] {
        let all = read(&raw.file("next", b"n").end()).unwrap();
        assert_eq!(all.len(), 2, "{how}");
        assert_eq!((all[0].0.path.as_slice(), all[0].0.size), (b"f".as_slice(), 16), "{how}");
        assert_eq!(joined(&all)[0].1, [(4, b'A'), (5, b'A'), (10, b'B')], "{how}");
    }
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let map = |map: &str, size: &str| {
        let records: &[(&str, &[u8])] =
            &[("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", map.as_bytes())];
        read(&Raw::default().pax(records).file("f", b"AAB").end())
    };
    assert!(map("4,2,10,1", "16").is_ok());
    for (bad, size) in [
        ("10,1,4,2", "16"),
        ("4,2,5,1", "16"),
        ("4,2,10,1", "10"),
        ("4,2", "16"),
        ("4,2,10,2", "16"),
        ("4,2,10", "16"),
        ("4,,10,1", "16"),
        ("18446744073709551615,3", "16"),
        ("4,18446744073709551614,10,5", "18446744073709551615"),
    ] {
        assert!(matches!(map(bad, size).unwrap_err().fault, Fault::Malformed("sparse map")), "{bad}");
    }
    // A count that promises more than anybody has memory for.
    let records: &[(&str, &[u8])] =
        &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"16")];
    let bomb =
        Raw::default().pax(records).file("f", &[b"99999999999999\n".as_slice(), &[0; 512]].concat()).end();
    assert!(matches!(fault(&bomb), Fault::TooLarge { what: "sparse map", .. }));
    let endless = Raw::default().pax(records).file("f", &b"1".repeat(512)).end();
    assert!(matches!(fault(&endless), Fault::Malformed("sparse map")));
}

#[test]
fn what_follows_the_end_is_not_read_as_entries() {
    let first = Raw::default().file("a", b"x").end();
    let both = [first.clone(), Raw::default().file("b", b"y").end()].concat();
    assert_eq!(read(&both).unwrap().len(), 1);
    let mut reader = Reader::new(both.as_slice(), Limits::default());
    while reader.next().unwrap().is_some() {}
    assert_eq!(reader.finish().unwrap().0, u64::try_from(both.len()).unwrap());
    // No end mark, one block of it, and padding that is missing: all are ends.
    for cut in [1024, 512] {
        assert_eq!(read(&first[..first.len() - cut]).unwrap().len(), 1);
    }
    assert_eq!(read(&first[..513]).unwrap()[0].1, [(0, b"x".to_vec())]);
    assert!(read(b"").unwrap().is_empty());
    // One block of zeros between entries is none.
    let torn = [&first[..1024], &[0; 512], &first[..1024]].concat();
    assert!(matches!(fault(&torn), Fault::Malformed("end mark")));
}

#[test]
fn damage_is_noticed() {
    let archive = Raw::default().file("a", &[7; 2000]).file("b", b"y").end();
    for cut in [1, 100, 511, 513, 1500, 2511, 2561] {
        assert!(matches!(fault(&archive[..cut]), Fault::Truncated), "{cut}");
    }
    for byte in [0, 99, 124, 156, 257, 500] {
        let mut broken = archive.clone();
        broken[byte] ^= 0x41;
        assert!(matches!(fault(&broken), Fault::Checksum), "{byte}");
    }
    // A size larger or smaller than what follows: the next header is not where it should be.
    for size in [b"00000001000\0", b"00000012000\0"] {
        let data: &[(usize, &[u8])] = &[(0, b"a"), (156, b"0"), (124, size)];
        let lie = Raw::default().block(data).data(&[7; 2000]).file("b", b"y").end();
        assert!(read(&lie).is_err());
    }
    let lie = Raw::default().pax(&[("size", b"5000")]).file("a", &[7; 2000]).file("b", b"").end();
    assert!(read(&lie).is_err());
    // The PAX size wins over the header's.
    let header: &[(usize, &[u8])] = &[(0, b"a"), (156, b"0")];
    let honest = Raw::default().pax(&[("size", b"3")]).block(header).data(b"abc").file("b", b"").end();
    assert_eq!(read(&honest).unwrap()[0].1, [(0, b"abc".to_vec())]);
    // A link or a directory has no contents, whatever its size says: what follows is a header.
    for flag in [b'1', b'2', b'5', b'6'] {
        let set: &[(usize, &[u8])] = &[(0, b"a"), (156, &[flag]), (124, b"00000001000\0")];
        let archive = Raw::default().block(set).file("b", b"y").end();
        assert_eq!(read(&archive).unwrap().len(), 2);
    }
    for flag in [b'M', b'D', b'?', 0x1b] {
        let archive = Raw::default().with(flag, b"a", b"", &[]).end();
        assert!(matches!(fault(&archive), Fault::Type { flag: seen } if seen == flag));
    }
}

#[test]
fn extended_headers_are_bounded_and_strict() {
    let huge = Raw::default().block(&[(0, b"x"), (156, b"x"), (124, b"77777777777\0")]).end();
    assert!(matches!(fault(&huge), Fault::TooLarge { what: "extended header", .. }));
    let huge = Raw::default().block(&[(0, b"x"), (156, b"L"), (124, b"77777777777\0")]).end();
    assert!(matches!(fault(&huge), Fault::TooLarge { what: "name", .. }));
    let name = vec![b'n'; 5000];
    let long = Raw::default().pax(&[("path", &name)]).file("f", b"").end();
    assert!(matches!(fault(&long), Fault::TooLarge { what: "name", .. }));
    for records in [
        b"x".as_slice(),
        b"5 a=b\n",
        b"7 a=b\n",
        b"6 a=bX",
        b"6 ab=\n5 =b\n",
        b"0 a=b\n",
        b"99999999999999999999 a=b\n",
        b"-6 a=b\n",
        b"11 path=a\0\n",
        b"11 pa\0th=a\n",
        b"24 SCHILY.xattr.=value1\n",
        b"21 GNU.sparse.what=1\n",
    ] {
        let archive = Raw::default().with(b'x', b"x", records, &[]).file("f", b"").end();
        assert!(read(&archive).is_err(), "{}", records.escape_ascii());
    }
    for records in [b"12 path=etc\n".as_slice(), b"9 size=5\n", b"14 linkpath=/\n"] {
        let archive = Raw::default().with(b'g', b"g", records, &[]).file("f", b"").end();
        assert!(matches!(fault(&archive), Fault::Malformed("global extended header")));
    }
    let global = Raw::default()
        .with(b'g', b"pax_global_header", b"15 comment=abc\n13 mtime=100\n", &[])
        .file("a", b"")
        .pax(&[("mtime", b"5")])
        .file("b", b"")
        .end();
    let seconds: Vec<_> = read(&global).unwrap().iter().map(|(header, _)| header.modified.seconds).collect();
    assert_eq!(seconds, [100, 5]);
    // Announced and never come.
    assert!(matches!(fault(&Raw::default().pax(&[("path", b"f")]).end()), Fault::Truncated));
}

fn samples() -> Vec<(Header, Vec<u8>)> {
    let mut file = Header::new("usr/bin/tool", Kind::File, 0o4755);
    file.size = 5;
    file.modified = Time { seconds: 1_700_000_000, nanos: 123_456_789 };
    file.accessed = Some(Time { seconds: 10, nanos: 0 });
    file.xattrs =
        vec![(b"user.b".to_vec(), b"2\n=".to_vec()), (b"security.capability".to_vec(), vec![0, 1, 2])];
    let mut big = Header::new(format!("{}/é", "d".repeat(200)), Kind::Symlink, 0o777);
    big.link = "l".repeat(250).into_bytes();
    big.uid = 3_000_000_000;
    big.gid = 2_097_152;
    big.modified = Time { seconds: -2, nanos: 500_000_000 };
    let mut device = Header::new("dev/null", Kind::CharDevice, 0o666);
    device.device = (1, 3);
    let mut hard = Header::new("hard", Kind::HardLink, 0o644);
    hard.link = b"usr/bin/tool".to_vec();
    vec![
        (Header::new("usr/", Kind::Directory, 0o755), vec![]),
        (file, b"12345".to_vec()),
        (big, vec![]),
        (device, vec![]),
        (hard, vec![]),
        (Header::new("fifo", Kind::Fifo, 0o600), vec![]),
    ]
}

fn written(entries: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, contents) in entries {
        writer.append(header, &mut contents.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let entries = samples();
    let archive = written(&entries);
    let mut want = entries.clone();
    for (header, _) in &mut want {
        header.xattrs.sort();
    }
    let got: Vec<_> = read(&archive)
        .unwrap()
        .into_iter()
        .map(|(header, chunks)| (header, chunks.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>()))
        .collect();
    assert_eq!(got, want);
    assert_eq!(archive, written(&entries), "the same entries are the same bytes");
}

#[test]
fn others_read_what_is_written() {
    let archive = written(&samples());
    let mut theirs = tar::Archive::new(Cursor::new(&archive));
    let names: Vec<_> =
        theirs.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned()).collect();
    let ours: Vec<_> = samples().into_iter().map(|(header, _)| header.path).collect();
    assert_eq!(names, ours);

    // GNU tar is on every machine the tests run on.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    std::fs::write(&path, &archive).unwrap();
    let listed = std::process::Command::new("tar")
        .args(["--numeric-owner", "--utc", "--full-time", "-tvf"])
        .arg(&path)
        .output()
        .unwrap();
    let listing = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(listing.contains("-rwsr-xr-x 0/0"), "{listing}");
    assert!(listing.contains("2023-11-14 22:13:20.123456789"), "{listing}");
    assert!(listing.contains("3000000000/2097152"), "{listing}");
    assert!(listing.contains("hard link to usr/bin/tool"), "{listing}");
}

#[test]
fn archives_of_gnu_tar_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("d".repeat(120))).unwrap();
    std::fs::write(tree.join("d".repeat(120)).join("f"), b"deep").unwrap();
    let holes = std::fs::File::create(tree.join("holes")).unwrap();
    for place in 0..30_u64 {
        std::os::unix::fs::FileExt::write_all_at(&holes, b"x", place * 1_000_000).unwrap();
    }
    holes.set_len(40_000_000).unwrap();
    let formats: &[&[&str]] = &[
        &["--format=gnu"],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
    ];
    for format in formats {
        let output = std::process::Command::new("tar").args(*format).arg("-cC").arg(&tree).arg(".").output();
        let archive = output.unwrap().stdout;
        let all = read_from(archive.as_slice()).unwrap();
        let holes = all.iter().find(|(header, _)| header.path == b"./holes").unwrap();
        assert_eq!(holes.0.size, 40_000_000, "{format:?}");
        let marks = holes.1.iter().flat_map(|(_, bytes)| bytes).filter(|byte| **byte != 0).count();
        assert_eq!(marks, 30, "{format:?}");
        assert!(all.iter().any(|(header, _)| header.path.ends_with(b"/f")), "{format:?}");
    }
}

#[test]
fn small_contents_are_bounded() {
    let archive = Raw::default().file("manifest.json", b"0123456789").end();
    let mut reader = Reader::new(archive.as_slice(), Limits::default());
    reader.next().unwrap().unwrap();
    assert!(matches!(reader.read_small(9).unwrap_err().fault, Fault::TooLarge { limit: 9, .. }));
    assert_eq!(reader.read_small(10).unwrap(), b"0123456789");
    let mut reader = Reader::new(archive.as_slice(), Limits::default());
    reader.next().unwrap().unwrap();
    let mut text = String::new();
    reader.contents().read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_grow(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4096), flips in proptest::collection::vec((0_usize..3000, proptest::num::u8::ANY), 0..6)) {
        super::exercise(&bytes);
        // Damaged archives get further than noise.
        let mut archive = written(&samples());
        for (place, value) in flips {
            let place = place % archive.len();
            archive[place] = value;
            let header = place / 512 * 512;
            fix(&mut archive[header..header + 512]);
        }
        bytes.extend_from_slice(&archive);
        super::exercise(&archive);
        super::exercise(&bytes);
    }
}

/// Makes the checksum right again, if the block looks like a header.
fn fix(block: &mut [u8]) {
    if &block[257..262] == b"ustar" {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn leaping_over_contents_finds_what_reading_them_does() {
    let large = vec![7; 700_000];
    let raw = Raw::default().file("small", b"1").file("large", &large).file("empty", b"").file("last", b"22");
    let mut bytes = raw.0;
    bytes.resize(bytes.len() + 1024, 0);
    let (mut read, mut leapt) =
        (Reader::new(&bytes[..], Limits::default()), Reader::new(Cursor::new(&bytes), Limits::default()));
    let mut names = Vec::new();
    while let Some(header) = leapt.next().unwrap() {
        assert_eq!(read.next().unwrap().unwrap(), header);
        assert_eq!(read.taken(), leapt.taken());
        leapt.leap().unwrap();
        names.push(header.path);
    }
    assert_eq!(names, [&b"small"[..], b"large", b"empty", b"last"]);
    assert!(read.next().unwrap().is_none());
    assert_eq!(read.taken(), leapt.taken());
    // Where the contents end is not looked at here.
    let mut cut = Reader::new(Cursor::new(&bytes[..5000]), Limits::default());
    cut.next().unwrap();
    cut.next().unwrap();
    cut.leap().unwrap();
    assert!(cut.next().unwrap().is_none() && cut.taken() > 5000);
}
