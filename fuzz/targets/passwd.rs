//! An image's passwd and group files, and a `USER`: nobody becomes root by a name that is none.
#![no_main]

use ctr_pods::user::{Accounts, UserSpec, identify};

libfuzzer_sys::fuzz_target!(|input: (&str, &[u8], &[u8])| {
    let (user, passwd, group) = input;
    let accounts = Accounts::new(passwd.to_vec(), group.to_vec());
    let Ok(spec) = UserSpec::parse(user) else { return };
    let Ok(identity) = identify(&spec, &accounts) else { return };
    let name = user.split(':').next().unwrap_or_default();
    // A number means itself, whatever a passwd file calls by that name.
    if let Ok(uid) = name.parse::<u32>() {
        assert_eq!(identity.uid, uid, "{user:?}");
    }
});
