//! Who owns what was copied.
//!
//! Trees have ids of A; a container's own numbers come of its maps, and those are what an archive has.

use ctr_store::transfer::Owners;
use ctr_userns::map::IdMaps;

use super::CopyError;
use super::tree::Tree;
use crate::run::accounts;
use crate::user::{self, Accounts, UserSpec};

/// Whoever has no number in the container.
const NOBODY: u32 = 65_534;

impl Tree<'_> {
    fn maps(&self) -> Option<&IdMaps> {
        self.files.map(|files| &files.maps)
    }

    /// The container's user, in ids of A; on the host the user, who is 0 there.
    fn owner(&self) -> Result<Option<(u32, u32)>, CopyError> {
        let Some(files) = self.files else { return Ok(Some((0, 0))) };
        let spec = UserSpec::parse(&files.container.record.process.user)?;
        let accounts = match accounts::read(&self.root) {
            Err(_) if spec.is_of_ids() => Accounts::default(),
            read => read?,
        };
        let identity = user::identify(&spec, &accounts)?;
        Ok(outside(self.maps(), identity.uid, identity.gid))
    }

    /// Who owns what comes from a tree: the container's user, or the one whose number it is on the other side.
    pub(super) fn owners<'a>(
        &'a self,
        from: &'a Tree<'_>,
        keeps: bool,
    ) -> Result<Box<dyn Owners + 'a>, CopyError> {
        if !keeps || self.files.is_none() {
            return self.all_its_user_s();
        }
        let (theirs, ours) = (from.maps(), self.maps());
        Ok(Box::new(move |uid: u32, gid: u32| {
            let (uid, gid) = inside(theirs, uid, gid)?;
            outside(ours, uid, gid)
        }))
    }

    /// Who owns what comes from an archive.
    pub(super) fn owners_of_numbers(&self, keeps: bool) -> Result<Box<dyn Owners + '_>, CopyError> {
        if !keeps {
            return self.all_its_user_s();
        }
        Ok(Box::new(move |uid: u32, gid: u32| outside(self.maps(), uid, gid)))
    }

    fn all_its_user_s(&self) -> Result<Box<dyn Owners>, CopyError> {
        let owner = self.owner()?;
        Ok(Box::new(move |_: u32, _: u32| owner))
    }

    /// The numbers that an archive of its files has: its own.
    pub(super) fn numbers(&self) -> Box<dyn Owners + '_> {
        Box::new(move |uid: u32, gid: u32| Some(inside(self.maps(), uid, gid).unwrap_or((NOBODY, NOBODY))))
    }
}

fn inside(maps: Option<&IdMaps>, uid: u32, gid: u32) -> Option<(u32, u32)> {
    maps.map_or(Some((uid, gid)), |maps| maps.uid.to_inner(uid).zip(maps.gid.to_inner(gid)))
}

fn outside(maps: Option<&IdMaps>, uid: u32, gid: u32) -> Option<(u32, u32)> {
    maps.map_or(Some((uid, gid)), |maps| maps.uid.to_outer(uid).zip(maps.gid.to_outer(gid)))
}
