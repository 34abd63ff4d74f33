//! The flags of `run`, as they are spelled.

use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::attach::DetachKeys;

/// Of all verbs that relay a terminal.
pub(in crate::cmd) const DETACH_KEYS: Flag = Flag::string(
    "detach-keys",
    r"Keys that leave the container alone: characters, or ctrl- and one of a-z, @, [, \, ], ^ and _; an empty text is none",
)
.default(DetachKeys::DEFAULT);

/// `run`.
pub const VERB: Verb = Verb::new("[options] IMAGE [COMMAND [ARG...]]", "Run a command in a new container")
    .long(
        "Run a command in a new container. A container has a network of its own, from which it reaches what you reach, \
         but for your own loopback; --network none leaves it its own alone.",
    )
    .examples(&[
        "run --rm localhost/hello",
        "run --rm -it --userns keep-id -v .:/src -w /src debian bash",
        "run -d --name web --network host debian python3 -m http.server",
    ])
    .flags(&[
        Flag::strings("attach", "Attach to stdin, stdout or stderr").short('a'),
        Flag::bool("detach", "Run the container in the background and print its id").short('d'),
        DETACH_KEYS,
        Flag::bool("passwd", "Add an entry for the container's user to /etc/passwd and /etc/group")
            .default("true"),
        Flag::strings("preserve-fd", "Pass file descriptors into the container, comma-separated"),
        Flag::uint("preserve-fds", "Pass this many file descriptors after standard error into the container"),
        Flag::bool("sig-proxy", "Forward signals to the container").default("true"),
    ])
    .shared_flags(FLAGS)
    .refuses(&[NOT_YET, &["rmi"]])
    .arity(Arity::AtLeast(1))
    .runs_a_command();

/// `create`.
pub const CREATE: Verb = Verb::new("[options] IMAGE [COMMAND [ARG...]]", "Create but do not start a container")
    .long(
        "Creates a new container from the given image or storage and prepares it for running the specified command. \
         The container ID is then printed to stdout. You can then start it at any time with the start command.",
    )
    .examples(&["create --name web debian sleep 100", "create -it debian bash"])
    .flags(&[Flag::strings("attach", "Attach to stdin, stdout or stderr").short('a')])
    .shared_flags(FLAGS)
    .refuses(&[NOT_YET, &["init-ctr"]])
    .arity(Arity::AtLeast(1))
    .runs_a_command();

const FLAGS: &[Flag] = &[
    Flag::strings(
        "add-host",
        "Add a line to the container's /etc/hosts, `host[;host]:ip`; the ip host-gateway is the host's",
    ),
    Flag::array("annotation", "Add an annotation to the container, `key=value`"),
    Flag::path("authfile", "Path of the file of logins, for pulling the image"),
    Flag::strings("cap-add", "Add capabilities to the container"),
    Flag::strings("cap-drop", "Drop capabilities from the container"),
    Flag::path("cert-dir", "Folder of certificates and keys, for pulling the image"),
    Flag::string("cgroupns", "View of the control groups: private, host or container:NAME"),
    Flag::string("cgroups", "A control group of its own: enabled (also no-conmon) or disabled")
        .default("enabled"),
    Flag::path("cidfile", "Write the container's id to a file"),
    Flag::string("creds", "Name and password, `USERNAME:PASSWORD`, for pulling the image"),
    Flag::strings("device", "Make a device of the host appear in the container"),
    Flag::strings(
        "dns",
        "Ask these resolvers, by address, or none: leave the image's /etc/resolv.conf as it is",
    ),
    Flag::strings("dns-option", "Options of the container's /etc/resolv.conf"),
    Flag::strings("dns-opt", "Options of the container's /etc/resolv.conf").alias_of("dns-option"),
    Flag::strings("dns-search", "Domains in which short names are looked for; . is none"),
    Flag::string("entrypoint", "Replace the entry point of the image"),
    Flag::array("env", "Set environment variables in the container").short('e'),
    Flag::array("env-file", "Read environment variables from a file"),
    Flag::bool("env-host", "Pass all environment variables of the host to the container"),
    Flag::strings("expose", "Say that the container serves ports, `port[-port][/protocol]`"),
    Flag::strings("gidmap", "Map group ids of the user namespace"),
    Flag::strings("group-add", "Add supplementary groups, or keep-groups"),
    Flag::string("group-entry", "Entry to write to /etc/group"),
    Flag::string(
        "host-access",
        "What of the host's loopback the container reaches, at host.containers.internal: none or \
         loopback[:PORT[-PORT][,...]]",
    ),
    Flag::string("hostname", "Set the container's host name").short('h'),
    Flag::string(
        "hosts-file",
        "What /etc/hosts begins with: a file, image, none, or the host's if this is empty",
    ),
    Flag::strings("hostuser", "Add a user of the host, by name or id, to /etc/passwd"),
    Flag::bool("http-proxy", "Pass proxy environment variables of the host into the container")
        .default("true"),
    Flag::string("image-volume", "What the image's volumes are: anonymous (or bind), tmpfs or ignore")
        .default("anonymous"),
    Flag::bool("init", "Run an init that forwards signals and reaps processes"),
    Flag::bool("interactive", "Keep standard input open").short('i'),
    Flag::string("ipc", "Message queues and shared memory: shareable, private, none, host or container:NAME"),
    Flag::string("kernel-memory", "").hidden(),
    Flag::array("label", "Set metadata on the container").short('l'),
    Flag::array("label-file", "Read metadata from a file, a `key=value` on each line"),
    Flag::string(
        "log-driver",
        "Who keeps the container's output: k8s-file, json-file, none, passthrough or passthrough-tty",
    )
    .default("k8s-file"),
    Flag::array("log-opt", "Options of the log: max-size=, max-file=, path=, tag="),
    Flag::array(
        "mount",
        "Attach a file system to the container: type=volume, bind, tmpfs, ramfs, image or devpts",
    ),
    Flag::string("name", "Assign a name to the container"),
    Flag::string(
        "network",
        "Connect the container to a network: user, none, host, container:NAME or ns:PATH; private, \
         bridge, pasta and slirp4netns are user too. user takes options: cidr=NETWORK, ipv6=false, \
         host-access=loopback[:PORT[-PORT][,...]], metadata=true, mode=tproxy|listen|tun|published, pcap=FILE. \
         --log-level trace tells what becomes of each flow",
    )
    .default("user"),
    Flag::string("net", "Connect the container to a network").alias_of("network"),
    Flag::strings("network-alias", "Call the container this too, in its own network"),
    Flag::bool("no-hostname", "Leave the image's /etc/hostname as it is"),
    Flag::bool("no-hosts", "Leave the image's /etc/hosts as it is"),
    Flag::int(
        "oom-score-adj",
        "How soon the kernel ends the container for want of memory, from -1000 to 1000",
    ),
    Flag::string("passwd-entry", "Entry to write to /etc/passwd"),
    Flag::string("pid", "Process ids: private, host or container:NAME"),
    Flag::path("pidfile", "Write the process id of the container to a file"),
    Flag::string("platform", "Choose the image for a platform, `os/arch[/variant]`"),
    Flag::bool("privileged", "Give all that the user may do to the container"),
    Flag::strings(
        "publish",
        "Lead a port of the host into the container, `[[ip:][hostPort]:]containerPort[/protocol]`",
    )
    .short('p'),
    Flag::bool("publish-all", "Lead a port of the host to each port that the image or --expose names")
        .short('P'),
    Flag::string("pull", "When the image is pulled: always, missing, newer or never").default("missing"),
    Flag::bool("quiet", "Print no progress of pulling").short('q'),
    Flag::bool("read-only", "Make the container's root file system read-only"),
    Flag::bool("read-only-tmpfs", "With --read-only, mount a tmpfs on /run, /tmp and /var/tmp")
        .default("true"),
    Flag::bool("replace", "If a container of the same name is there, replace it"),
    Flag::strings("requires", "Containers that are started before this one"),
    Flag::string("restart", "What happens when the container ends: no").default("no"),
    Flag::uint("retry", "How often pulling is tried again when it fails"),
    Flag::duration("retry-delay", "How long is waited before"),
    Flag::bool("rm", "Remove the container when it exits"),
    Flag::bool("rootfs", "The first argument is a folder with a root file system, not an image"),
    Flag::array("security-opt", "Set security options"),
    Flag::string("shm-size", "Size of /dev/shm, `number[unit]`").default("64m"),
    Flag::string("stop-signal", "Signal that stops the container"),
    Flag::uint("stop-timeout", "Seconds that the container has to stop before it is killed").default("10"),
    Flag::string("subgidname", "Name of a range in /etc/subgid for the user namespace"),
    Flag::string("subuidname", "Name of a range in /etc/subuid for the user namespace"),
    Flag::strings("sysctl", "Set kernel parameters of the container's namespaces"),
    Flag::uint("timeout", "Kill the container after this many seconds"),
    Flag::bool("tls-verify", "Require HTTPS and verify certificates when pulling").default("true"),
    Flag::array("tmpfs", "Mount a tmpfs in the container"),
    Flag::bool("tty", "Give the container a terminal").short('t'),
    Flag::string("tz", "Set the time zone in the container"),
    Flag::strings("uidmap", "Map user ids of the user namespace"),
    Flag::strings("ulimit", "Set limits of processes"),
    Flag::string("umask", "Set the umask in the container"),
    Flag::array("unsetenv", "Unset default environment variables in the container"),
    Flag::bool("unsetenv-all", "Unset all default environment variables in the container"),
    Flag::string("user", "User name or id, and group, `user[:group]`").short('u'),
    Flag::string(
        "userns",
        "Ids of the container: host, private, keep-id, nomap, auto, container:NAME or ns:PATH",
    ),
    Flag::string("uts", "Host name and domain: private, host or container:NAME"),
    Flag::array("volume", "Mount a volume, or a folder or file of the host, into the container").short('v'),
    Flag::array("volumes-from", "Mount the volumes of another container, `ctr[:ro|rw|z]`"),
    Flag::string("workdir", "Working directory inside the container").short('w'),
];

/// Flags of Podman's that later issues bring: refused by name.
const NOT_YET: &[&str] = &[
    "arch",
    "blkio-weight",
    "blkio-weight-device",
    "cgroup-conf",
    "cgroup-parent",
    "chrootdirs",
    "conmon-pidfile",
    "cpu-period",
    "cpu-quota",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cpu-shares,c",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "decryption-key",
    "device-cgroup-rule",
    "device-read-bps",
    "device-read-iops",
    "device-write-bps",
    "device-write-iops",
    "disable-content-trust",
    "env-merge",
    "gpus",
    "health-cmd",
    "health-interval",
    "health-log-destination",
    "health-max-log-count",
    "health-max-log-size",
    "health-on-failure",
    "health-retries",
    "health-start-period",
    "health-startup-cmd",
    "health-startup-interval",
    "health-startup-retries",
    "health-startup-success",
    "health-startup-timeout",
    "health-timeout",
    "init-path",
    "ip",
    "ip6",
    "link-local-ip",
    "mac-address",
    "memory,m",
    "memory-reservation",
    "memory-swap",
    "memory-swappiness",
    "no-healthcheck",
    "oom-kill-disable",
    "os",
    "personality",
    "pids-limit",
    "pod",
    "pod-id-file",
    "rdt-class",
    "sdnotify",
    "seccomp-policy",
    "secret",
    "shm-size-systemd",
    "systemd",
    "variant",
];
