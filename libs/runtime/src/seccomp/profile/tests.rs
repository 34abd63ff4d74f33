use super::*;
use crate::caps::{self, CapSet};

fn facts(caps: CapSet) -> Facts {
    Facts { caps, kernel: Kernel { version: 5, revision: 10 } }
}

fn parse(json: &str) -> Result<Option<Profile>, ProfileError> {
    Profile::from_json(json.as_bytes())
}

/// Returns the error's text and that of its source.
fn refused(json: &str) -> String {
    let error = parse(json).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

/// Returns the names of all rules of a resolved profile.
fn names(profile: &str, facts: &Facts) -> Vec<String> {
    let resolved = parse(profile).unwrap().unwrap().resolved(facts).unwrap();
    resolved.syscalls.iter().flat_map(Rule::names).map(ToOwned::to_owned).collect()
}

#[test]
fn the_specifications_form_is_read_and_written() {
    let json = r#"{"defaultAction":"SCMP_ACT_KILL_PROCESS","architectures":["SCMP_ARCH_X86_64"],"flags":["SECCOMP_FILTER_FLAG_LOG"],"listenerPath":"/run/l","listenerMetadata":"m","syscalls":[{"names":["read"],"action":"SCMP_ACT_TRACE","errnoRet":7,"args":[{"index":1,"value":18446744073709551615,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
    let profile = parse(json).unwrap().unwrap();
    assert_eq!(profile.flags, Some(vec![Flag::Log]));
    assert_eq!(profile.syscalls[0].args[0].value, u64::MAX);
    assert_eq!(serde_json::to_string(&profile).unwrap(), json);
}

#[test]
fn gos_ways_of_saying_nothing_are_read() {
    let profile = parse(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": null, "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": null}], "syscalls": [
            {"names": ["a"], "action": "SCMP_ACT_KILL", "args": null, "comment": "x", "includes": {}, "excludes": null},
            {"name": "b", "names": null, "action": "SCMP_ACT_ERRNO", "errno": "", "errnoRet": null,
             "includes": {"caps": null, "minKernel": ""}}]}"#,
    );
    let profile = profile.unwrap().unwrap();
    assert_eq!(profile.syscalls[0].action, Action::KillThread);
    let resolved = profile.resolved(&facts(CapSet::EMPTY)).unwrap();
    assert_eq!(*resolved.syscalls[1].names, [text("b")]);
    assert_eq!(*resolved.architectures, [text("SCMP_ARCH_X86_64")]);
    assert!(resolved.syscalls.iter().all(|rule| rule.includes.is_empty() && rule.excludes.is_empty()));
}

#[test]
fn an_empty_profile_is_none() {
    for json in
        ["{}", r#"{"defaultAction": "", "syscalls": []}"#, r#"{"defaultAction": null, "syscalls": null}"#]
    {
        assert!(parse(json).unwrap().is_none(), "{json}");
    }
}

#[test]
fn what_is_no_profile_is_refused() {
    for (json, said) in [
        ("", "EOF"),
        ("[]", "invalid"),
        (r#"{"syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW"}]}"#, "missing field `defaultAction`"),
        (r#"{"defaultAction": "ALLOW"}"#, "unknown variant `ALLOW`"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}"#, "unknown variant `X`"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 1, "op": "="}]}]}"#,
            "unknown variant `=`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": -1, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
            "invalid value: integer `-1`",
        ),
    ] {
        let text = refused(json);
        assert!(text.starts_with("cannot read the seccomp profile: ") && text.contains(said), "{text}");
    }
    let long = vec![b' '; usize::try_from(limits::SECCOMP_PROFILE).unwrap() + 1];
    assert!(matches!(Profile::from_json(&long), Err(ProfileError::Size(_))));
}

#[test]
fn conditions_on_the_kernel_take_two_numbers() {
    let with = |version: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["a"], "action": "SCMP_ACT_LOG",
            "includes": {{"minKernel": {version}}}}}]}}"#
        )
    };
    for version in ["4.8", "5.10", "0.1"] {
        assert_eq!(names(&with(&format!("{version:?}")), &facts(CapSet::EMPTY)), ["a"], "{version}");
    }
    for version in ["5.11", "6.0", "10.1"] {
        assert!(names(&with(&format!("{version:?}")), &facts(CapSet::EMPTY)).is_empty(), "{version}");
    }
    for version in [r#""4""#, r#""4.8.1""#, r#""4.x""#, r#""0.0""#, r#""4.8-rc1""#, r#"" 4.8""#, "4.8"] {
        assert!(parse(&with(version)).is_err(), "{version}");
    }
}

#[test]
fn releases_of_kernels_are_read() {
    for (release, version, revision) in
        [("6.18.44-fc-v657", 6, 18), ("4.8", 4, 8), ("5.10-rc1", 5, 10), ("3.10.0-1160.el7.x86_64", 3, 10)]
    {
        assert_eq!(release.parse(), Ok(Kernel { version, revision }), "{release}");
    }
    for release in ["", "6", "x.y", "6.", "-1.2", "99999999999.1"] {
        assert!(release.parse::<Kernel>().is_err(), "{release}");
    }
}

#[test]
fn rules_count_where_all_is_included_and_nothing_excluded() {
    let rule = |name: &str, conditions: &str| {
        format!(r#"{{"names": ["{name}"], "action": "SCMP_ACT_ALLOW", {conditions}}}"#)
    };
    let rules = [
        rule("both", r#""includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}"#),
        rule(
            "chown",
            r#""includes": {"caps": ["CAP_CHOWN"], "arches": ["amd64", "arm"], "minKernel": "5.10"}"#,
        ),
        rule("either", r#""excludes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}"#),
        rule("admin", r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#),
        rule("arm", r#""includes": {"arches": ["arm"]}"#),
        rule("not_amd64", r#""excludes": {"arches": ["s390", "amd64"]}"#),
        rule("old", r#""excludes": {"minKernel": "5.10"}"#),
        rule("newer", r#""excludes": {"minKernel": "5.11"}"#),
        rule("short", r#""includes": {"caps": ["chown"]}"#),
        rule("unknown", r#""excludes": {"caps": ["CAP_FUTURE"]}"#),
    ];
    let profile = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, rules.join(","));
    assert_eq!(names(&profile, &facts(caps::DEFAULT)), ["chown", "admin", "newer", "unknown"]);
    assert_eq!(names(&profile, &facts(CapSet::ALL)), ["both", "chown", "newer", "unknown"]);
    assert_eq!(names(&profile, &facts(CapSet::EMPTY)), ["either", "admin", "newer", "unknown"]);
}

#[test]
fn errnos_have_names_too() {
    for (errno, expected) in [("ENOSYS", 38), ("12", 12), ("EWOULDBLOCK", 11)] {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "{errno}", "syscalls": [
            {{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2, "errno": "{errno}"}}]}}"#
        );
        let resolved = parse(&json).unwrap().unwrap().resolved(&facts(CapSet::EMPTY)).unwrap();
        assert_eq!(
            (resolved.default_errno_ret, resolved.syscalls[0].errno_ret),
            (Some(expected), Some(expected))
        );
    }
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSUCH"}"#;
    let error = parse(json).unwrap().unwrap().resolved(&facts(CapSet::EMPTY)).unwrap_err();
    assert_eq!(error.to_string(), r#"unknown errno "ENOSUCH" in the seccomp profile"#);
}

#[test]
fn nothing_is_said_twice() {
    let resolve = |json: &str| parse(json).unwrap().unwrap().resolved(&facts(CapSet::EMPTY)).unwrap_err();
    let twice = resolve(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}]}"#,
    );
    assert!(matches!(twice, ProfileError::ArchitecturesTwice));
    let twice = resolve(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"name": "a", "names": ["b"], "action": "SCMP_ACT_LOG"}]}"#,
    );
    assert!(matches!(twice, ProfileError::NamesTwice));
}

#[test]
fn built_in_profiles_survive_json() {
    for profile in [super::super::default_profile(), super::super::nested()] {
        let json = serde_json::to_vec(&profile).unwrap();
        assert_eq!(Profile::from_json(&json).unwrap().unwrap(), profile);
    }
}

#[test]
fn peers_files_on_this_machine_are_read() {
    // Podman's profile, where golang-github-containers-common is installed.
    let Ok(json) = std::fs::read("/usr/share/containers/seccomp.json") else {
        return super::super::tests::skip("podman", "no /usr/share/containers/seccomp.json");
    };
    let profile = Profile::from_json(&json).unwrap().unwrap();
    assert!(super::super::compile(&profile, &facts(caps::DEFAULT)).is_ok());
}
