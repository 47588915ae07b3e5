//! Which file of which package holds ONNX Runtime for this platform, and what its bytes must hash to.
//!
//! Everything is pinned: a version, a platform, a hash. Raising a pin means running the daemon's embedder tests
//! against the new library first.

/// A wheel of the Python package `onnxruntime`. The tag of the interpreter does not matter: only the library in
/// it is used, and naming the tag explicitly makes any Python fetch the same file.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// `std::env::consts` operating system and architecture.
    platform: (&'static str, &'static str),
    /// What pip calls the platform.
    pub pip_platform: &'static str,
    /// The library in the wheel.
    pub member: &'static str,
    /// Of the wheel.
    pub sha256: &'static str,
}

/// A folder in the package `onnxruntime-node`, which carries every platform in one archive.
#[derive(Debug, Clone, Copy)]
pub struct NodeBinary {
    platform: (&'static str, &'static str),
    /// The library in the archive.
    pub member: &'static str,
}

/// Version of the wheels. Small among the recent ones, and content with glibc 2.27.
pub const WHEEL_VERSION: &str = "1.24.4";
/// The interpreter tag of the pinned wheels.
pub const WHEEL_PYTHON: (&str, &str) = ("3.11", "cp311");
/// Files of a wheel that go with the library.
pub const WHEEL_NOTICES: [&str; 2] = ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"];

/// Version of the node package: the newest of this series, which has no 1.24.4.
pub const NODE_VERSION: &str = "1.24.3";
/// Of the archive, as the package index states it and as it was checked.
pub const NODE_SHA512: &str = "247efe7336dcf002c0f35f6f95381c57e436d78ffe56319e0470e35fcd7e6420f43c254220518536d4f4578b171bfd495f2a4a3e049c41c0778a3fe19376274e";
/// The archive has no licence file; its own description of itself goes along in its place.
pub const NODE_NOTICE: &str = "package/README.md";

const WHEELS: [Wheel; 5] = [
    Wheel {
        platform: ("linux", "x86_64"),
        pip_platform: "manylinux_2_27_x86_64",
        member: "onnxruntime/capi/libonnxruntime.so.1.24.4",
        sha256: "e54ad52e61d2d4618dcff8fa1480ac66b24ee2eab73331322db1049f11ccf330",
    },
    Wheel {
        platform: ("linux", "aarch64"),
        pip_platform: "manylinux_2_27_aarch64",
        member: "onnxruntime/capi/libonnxruntime.so.1.24.4",
        sha256: "046ff290045a387676941a02a8ae5c3ebec6b4f551ae228711968c4a69d8f6b7",
    },
    Wheel {
        platform: ("macos", "aarch64"),
        pip_platform: "macosx_14_0_arm64",
        member: "onnxruntime/capi/libonnxruntime.1.24.4.dylib",
        sha256: "0bdfce8e9a6497cec584aab407b71bf697dac5e1b7b7974adc50bf7533bdb3a2",
    },
    Wheel {
        platform: ("windows", "x86_64"),
        pip_platform: "win_amd64",
        member: "onnxruntime/capi/onnxruntime.dll",
        sha256: "b43b63eb24a2bc8fc77a09be67587a570967a412cccb837b6245ccb546691153",
    },
    Wheel {
        platform: ("windows", "aarch64"),
        pip_platform: "win_arm64",
        member: "onnxruntime/capi/onnxruntime.dll",
        sha256: "e26478356dba25631fb3f20112e345f8e8bf62c499bb497e8a559f7d69cf7e7b",
    },
];

const NODE_BINARIES: [NodeBinary; 5] = [
    NodeBinary { platform: ("linux", "x86_64"), member: "package/bin/napi-v6/linux/x64/libonnxruntime.so.1" },
    NodeBinary {
        platform: ("linux", "aarch64"),
        member: "package/bin/napi-v6/linux/arm64/libonnxruntime.so.1",
    },
    NodeBinary {
        platform: ("macos", "aarch64"),
        member: "package/bin/napi-v6/darwin/arm64/libonnxruntime.1.24.3.dylib",
    },
    NodeBinary { platform: ("windows", "x86_64"), member: "package/bin/napi-v6/win32/x64/onnxruntime.dll" },
    NodeBinary {
        platform: ("windows", "aarch64"),
        member: "package/bin/napi-v6/win32/arm64/onnxruntime.dll",
    },
];

/// Returns the wheel for this platform, if its makers build one.
pub fn wheel() -> Option<Wheel> {
    WHEELS.into_iter().find(|wheel| wheel.platform == here())
}

/// Returns the node package's file for this platform, if there is one.
pub fn node_binary() -> Option<NodeBinary> {
    NODE_BINARIES.into_iter().find(|binary| binary.platform == here())
}

/// No build of the library runs on musl, whatever the architecture.
fn here() -> (&'static str, &'static str) {
    let system = if cfg!(target_env = "musl") { "linux-musl" } else { std::env::consts::OS };
    (system, std::env::consts::ARCH)
}

/// What [`RuntimeError::Unsupported`](super::RuntimeError) shows.
pub fn platform_name() -> String {
    let (system, architecture) = here();
    format!("{system} {architecture}")
}
