//! Reading passwd and group files of an image.

/// Such a file is read up to this many bytes.
pub const MAX_FILE: usize = 4 << 20;

/// A line of passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home folder.
    pub home: String,
}

/// A line of group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// Both files of an image.
///
/// They are kept as bytes and searched line by line: most starts ask for one line only.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    passwd: Vec<u8>,
    group: Vec<u8>,
}

impl Accounts {
    /// From the bytes of both files; a missing one is empty.
    #[must_use]
    pub fn new(passwd: Vec<u8>, group: Vec<u8>) -> Self {
        Self { passwd, group }
    }

    /// The first user of that id.
    #[must_use]
    pub fn user_by_id(&self, uid: u32) -> Option<User> {
        self.users().find(|user| user.uid == uid)
    }

    /// The first user of that name.
    #[must_use]
    pub fn user_by_name(&self, name: &str) -> Option<User> {
        self.users().find(|user| user.name == name)
    }

    /// The first group of that id.
    #[must_use]
    pub fn group_by_id(&self, gid: u32) -> Option<Group> {
        self.groups().find(|group| group.gid == gid)
    }

    /// The first group of that name.
    #[must_use]
    pub fn group_by_name(&self, name: &str) -> Option<Group> {
        self.groups().find(|group| group.name == name)
    }

    /// Ids of the groups that list a user.
    #[must_use]
    pub fn groups_of(&self, name: &str) -> Vec<u32> {
        let lists = |group: &Group| group.members.iter().any(|member| member == name);
        self.groups().filter(lists).map(|group| group.gid).collect()
    }

    /// One past the highest id in the third field of a file's lines, nobody's left out.
    #[must_use]
    pub fn highest(file: &[u8]) -> u32 {
        const NOBODY: [u32; 2] = [65_534, 65_535];
        let ids = lines(file).filter_map(|line| id(line.split(':').nth(2)?));
        ids.filter(|id| !NOBODY.contains(id)).map(|id| id + 1).max().unwrap_or(0)
    }

    fn users(&self) -> impl Iterator<Item = User> {
        lines(&self.passwd).filter_map(user)
    }

    fn groups(&self) -> impl Iterator<Item = Group> {
        lines(&self.group).filter_map(group)
    }
}

/// Lines that are text; comments and empty ones fall out as lines without enough fields.
fn lines(file: &[u8]) -> impl Iterator<Item = &str> {
    file.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| usable(name))?;
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default();
    Some(User { name: name.to_owned(), uid, gid, home: home.to_owned() })
}

fn group(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| usable(name))?;
    let gid = id(fields.nth(1)?)?;
    let members = fields.next().unwrap_or_default();
    let members = members.split(',').map(str::trim).filter(|member| !member.is_empty());
    Some(Group { name: name.to_owned(), gid, members: members.map(str::to_owned).collect() })
}

/// A name that can be meant: `+` and `-` lines ask another service, which no container of ours has.
fn usable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['+', '-', '#'])
}

/// Digits only: a sign, a blank or a number that does not fit breaks the line.
fn id(field: &str) -> Option<u32> {
    let plain = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    if plain { field.parse().ok().filter(|id| *id <= super::MAX_ID) } else { None }
}
