//! What the files of a service say, as text: nothing is installed or started.

use super::*;

fn rendered(manager: Manager, activation: Activation, palace: &str) -> Service {
    service(manager, activation, Path::new("/opt/my $bin/palaced"), Path::new(palace)).unwrap()
}

fn has_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} in {text}");
    }
    assert!(!text.contains('@'), "{text}");
}

#[test]
fn a_unit_starts_the_daemon_in_the_foreground_for_one_palace() {
    let service = rendered(Manager::Systemd, Activation::Login, "/home/u/50% $x \"q\"");
    let [unit] = &service.files[..] else { panic!("one file: {service:?}") };
    let exec = r#"ExecStart="/opt/my $bin/palaced" --palace "/home/u/50%% $$x \"q\"" --managed-by systemd"#;
    has_lines(
        &unit.text,
        &[
            exec,
            "Description=Memory palace /home/u/50%% $x \"q\"",
            "AssertPathExists=/home/u/50%% $x \"q\"/.daemon",
            "Type=notify",
            "NotifyAccess=main",
            "WatchdogSec=30",
            "Restart=on-failure",
            "RestartSec=1",
            "StartLimitIntervalSec=60",
            "StartLimitBurst=5",
            "TimeoutStopSec=30",
            "KillMode=mixed",
            "UMask=0077",
            "WantedBy=default.target",
        ],
    );
    assert!(!unit.text.contains(".socket"), "{}", unit.text);
    assert_eq!(unit.file, format!(".config/systemd/user/{}", service.name));
}

#[test]
fn with_a_socket_the_first_client_starts_the_daemon() {
    let service = rendered(Manager::Systemd, Activation::Socket, "/home/u/50% \"q\"");
    let [unit, socket] = &service.files[..] else { panic!("two files: {service:?}") };
    let name = service.socket_name.unwrap();
    let lines = [format!("Requires={name}"), format!("After={name}"), format!("Also={name}")];
    has_lines(&unit.text, &lines.each_ref().map(String::as_str));
    assert!(!unit.text.contains("WantedBy"), "nothing but its socket starts it: {}", unit.text);
    has_lines(
        &socket.text,
        &[
            "ListenStream=/home/u/50%% \"q\"/.daemon/s.sd",
            "SocketMode=0600",
            "DirectoryMode=0700",
            "RemoveOnStop=yes",
            "WantedBy=sockets.target",
        ],
    );
    assert_eq!(socket.file, format!(".config/systemd/user/{name}"));
}

#[test]
fn an_agent_says_the_same_to_a_plist_parser() {
    let palace = "/Users/u/a & <b> \"c\" 'd'";
    for activation in [Activation::Login, Activation::Socket] {
        let service = rendered(Manager::Launchd, activation, palace);
        let [agent] = &service.files[..] else { panic!("one file: {service:?}") };
        let parsed = plist::Value::from_reader_xml(agent.text.as_bytes()).unwrap();
        let agent_says = parsed.as_dictionary().unwrap();
        let text = |key: &str| agent_says[key].as_string().unwrap();
        let number = |key: &str| agent_says[key].as_signed_integer().unwrap();
        assert_eq!(text("Label"), service.name);
        let arguments: Vec<&str> = agent_says["ProgramArguments"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(plist::Value::as_string)
            .collect();
        assert_eq!(arguments, ["/opt/my $bin/palaced", "--palace", palace, "--managed-by", "launchd"]);
        let keep = agent_says["KeepAlive"].as_dictionary().unwrap();
        assert_eq!(keep["SuccessfulExit"].as_boolean(), Some(false));
        assert_eq!((number("ThrottleInterval"), number("Umask")), (10, 0o077));
        assert_eq!(text("ProcessType"), "Adaptive");
        match activation {
            Activation::Login => {
                assert_eq!(agent_says["RunAtLoad"].as_boolean(), Some(true));
                assert!(!agent_says.contains_key("Sockets"));
            }
            Activation::Socket => {
                let listeners = agent_says["Sockets"].as_dictionary().unwrap()["Listeners"].as_dictionary();
                let socket = listeners.unwrap();
                assert_eq!(socket["SockPathName"].as_string(), Some(&*format!("{palace}/.daemon/s.sd")));
                assert_eq!(socket["SockPathMode"].as_signed_integer(), Some(0o600));
                assert!(!agent_says.contains_key("RunAtLoad"));
            }
        }
        assert_eq!(agent.file, format!("Library/LaunchAgents/{}.plist", service.name));
    }
}

#[test]
fn a_service_belongs_to_its_palace() {
    let name = |palace, activation| rendered(Manager::Systemd, activation, palace).name;
    assert_eq!(name("/a", Activation::Login), name("/a", Activation::Socket));
    assert_ne!(name("/a", Activation::Login), name("/b", Activation::Login));
    let evil = Path::new("/a\nExecStart=/evil");
    assert_eq!(service(Manager::Systemd, Activation::Login, Path::new("/palaced"), evil), None);
}
