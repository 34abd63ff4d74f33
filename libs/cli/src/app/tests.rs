use super::*;
use crate::usage::Arity;

const PS: Verb = Verb::new("[options]", "List containers").flags(&[Flag::bool("all", "Show all").short('a')]);
const RUN: Verb = Verb::new("[options] IMAGE [COMMAND [ARG...]]", "Run a command in a new container")
    .arity(Arity::AtLeast(1))
    .runs_a_command();
const COMMANDS: &[Command] = &[
    Command { path: "ps", verb: &PS, run: |_| Ok(Exit::SUCCESS) },
    Command { path: "container list", verb: &PS, run: |_| Ok(Exit::SUCCESS) },
    Command { path: "run", verb: &RUN, run: |_| Ok(Exit::SUCCESS) },
];

fn asked(line: &str) -> String {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let caller = Caller::from_argv0(OsStr::new(words.next().expect("a name")));
    let args: Vec<OsString> = words.map(OsString::from).collect();
    let voice = caller.voice;
    match read(Program::Run, COMMANDS, caller, &args) {
        Ok((_, Asked::Call(command, call))) => {
            let args: Vec<_> = call.flags.args().iter().map(|arg| arg.to_string_lossy()).collect();
            format!("{}({}) level={}", command.path, args.join(" "), call.globals.level.name())
        }
        Ok((_, Asked::Sibling(program))) => format!("exec {}", program.file()),
        Ok((_, Asked::Page(page, error))) => {
            let usage = page.lines().skip_while(|line| *line != "Usage:").nth(1).unwrap_or(&page);
            let error =
                error.map_or_else(String::new, |error| format!(" | {}", error.render(voice).trim_end()));
            format!("page {}{error}", usage.trim())
        }
        Err(error) => format!("{}{}", error.render(voice), error.code().value()),
    }
}

#[test]
fn command_lines_are_understood() {
    for (line, expected) in [
        ("podman ps", "ps() level=warning"),
        ("podman container ls -a", "container list() level=warning"),
        ("podman --log-level=debug run img -a --x", "run(img -a --x) level=debug"),
        ("podman run --log-level info img", "run(img) level=info"),
        ("podman -D ps", "ps() level=debug"),
        ("podman --root /x --storage-opt a=b images", "exec ctr-copy"),
        ("podman images --foo", "exec ctr-copy"),
        ("ctr copy a b", "exec ctr-copy"),
        ("skopeo --insecure-policy copy --all a b", "exec ctr-copy"),
        (
            "podman image scp --format nope img host::",
            "Error: invalid argument \"nope\" for \"--format\" flag: \"nope\" is not a valid value.  Choose from: \
             \"oci-archive, docker-archive\"\nSee 'podman image scp --help'\n125",
        ),
        ("podman image scp", "Error: accepts between 1 and 2 arg(s), received 0\n125"),
        ("podman image scp -q img host::", "Error: `podman image scp` is not supported yet\n125"),
        ("podman ps --help", "page podman ps [options]"),
        ("podman help ps", "page podman ps [options]"),
        ("podman --help ps", "page podman ps [options]"),
        ("podman container list -h", "page podman container list [options]"),
        ("podman container --help", "page podman container [command]"),
        ("podman help container", "page podman container [command]"),
        ("podman help", "page podman [options] [command]"),
        ("podman help --help", "page podman help [command]"),
        ("podman -h", "page podman [options] [command]"),
        ("podman --version", "page podman version 6.0.0"),
        ("podman", "page podman [options] [command] | Error: missing command 'podman COMMAND'"),
        ("podman --remote", "page podman [options] [command] | Error: missing command 'podman COMMAND'"),
        (
            "podman container",
            "page podman container [command] | Error: missing command 'podman container COMMAND'",
        ),
    ] {
        assert_eq!(asked(line), expected, "{line}");
    }
}

#[test]
fn mistakes_have_podmans_words() {
    for (line, expected) in [
        (
            "podman container nonsense",
            "Error: unrecognized command `podman container nonsense`\nTry 'podman container --help' for more information\n125",
        ),
        (
            "podman imagse",
            "Error: unrecognized command `podman imagse`\n\nDid you mean this?\n\timage\n\timages\n\nTry 'podman --help' \
             for more information\n125",
        ),
        ("podman bad --invalid", "Error: unknown flag: --invalid\nSee 'podman --help'\n125"),
        (
            "podman container bad --invalid",
            "Error: unknown flag: --invalid\nSee 'podman container --help'\n125",
        ),
        ("podman build .", "Error: `podman build` is not supported yet\n125"),
        ("ctr kube play x", "Error: `ctr kube play` is not supported yet\n125"),
        ("ctr kube", "Error: `ctr kube` is not supported yet\n125"),
        ("podman ps --remote", "Error: unknown flag: --remote\nSee 'podman ps --help'\n125"),
        ("podman --remote ps", "Error: --remote is not supported yet\n125"),
        ("podman --foo ps", "Error: unknown flag: --foo\nSee 'podman --help'\n125"),
        ("podman --hooks-dir /x ps", "Error: --hooks-dir is not supported yet\n125"),
        ("podman container --foo", "Error: unknown flag: --foo\nSee 'podman container --help'\n125"),
        ("podman ps extra", "Error: `podman ps` takes no arguments\n125"),
        (
            "podman --log-level=telepathic ps",
            "Log Level \"telepathic\" is not supported, choose from: trace, debug, info, warn, warning, error, fatal, \
             panic\n1",
        ),
        ("podman --debug --log-level=panic ps", "Setting --log-level and --debug is not allowed\n1"),
        (
            "podman copy a b",
            "Error: unrecognized command `podman copy`\n\nDid you mean this?\n\tcp\n\ttop\n\nTry 'podman --help' for more information\n125",
        ),
    ] {
        assert_eq!(asked(line), expected, "{line}");
    }
}
