//! Creating a process on Windows that outlives its host and holds nothing of it.
//!
//! `std::process::Command` lets a child inherit every inheritable handle, and hosts make their own pipes inheritable:
//! their reads would not end while the daemon lives. So the process is created here, with no handle inherited. Hosts
//! also put their servers into job objects that end every member; three ways out are tried in turn:
//!
//! 1. creation with breakaway, which the job may forbid;
//! 2. creation by the WMI service (`Win32_Process.Create`), which is in no job of the host's and outside of a packaged
//!    app's view of AppData; settings from the environment do not get across, the arguments do;
//! 3. creation inside the job: the daemon then ends with its host, which loses nothing, and says so.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::process::{Command, Stdio};

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_ACCESS_DENIED, FALSE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_UNICODE_ENVIRONMENT,
    CreateProcessW, GetExitCodeProcess, OpenProcess, PROCESS_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SYNCHRONIZE, STARTUPINFOW, WaitForSingleObject,
};

use super::command_line::{command_line, environment_block};

/// Added to the daemon's arguments when it could not leave the host's job.
pub const DIES_WITH_HOST: &str = "--dies-with-host";

/// A process that was created here or on our behalf.
#[derive(Debug)]
pub struct Process(OwnedHandle);

impl Process {
    /// Returns the exit code once the process has ended.
    pub fn exit_code(&self) -> Option<u32> {
        let handle = self.0.as_raw_handle();
        let mut code = 0;
        // SAFETY: the handle is open for as long as `self` lives and may be waited for and queried; `code` is ours.
        unsafe {
            let ended = WaitForSingleObject(handle, 0) == WAIT_OBJECT_0;
            (ended && GetExitCodeProcess(handle, &raw mut code) != FALSE).then_some(code)
        }
    }
}

/// Creates the process by the first way that works.
///
/// # Errors
/// The system's answer to the last way.
pub fn create(
    words: &[String],
    environment: Vec<(OsString, OsString)>,
    directory: &Path,
) -> io::Result<Process> {
    let block = environment_block(environment);
    match create_process(words, &block, directory, CREATE_BREAKAWAY_FROM_JOB) {
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_ACCESS_DENIED).ok() => {}
        created => return created,
    }
    if let Some(process) = create_by_service(words, directory) {
        return Ok(process);
    }
    let mut words = words.to_vec();
    words.push(DIES_WITH_HOST.to_owned());
    create_process(&words, &block, directory, 0)
}

fn create_process(words: &[String], block: &[u16], directory: &Path, flags: u32) -> io::Result<Process> {
    let line = command_line(words).ok_or(io::ErrorKind::InvalidInput)?;
    let program = wide(words.first().ok_or(io::ErrorKind::InvalidInput)?);
    // CreateProcessW may write into the command line.
    let mut line = wide(&line);
    let directory = wide(directory);
    let flags = flags | CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP | CREATE_UNICODE_ENVIRONMENT;
    let startup = STARTUPINFOW {
        cb: u32::try_from(size_of::<STARTUPINFOW>()).expect("the structure is small"),
        ..Default::default()
    };
    let mut created = PROCESS_INFORMATION::default();
    // SAFETY: every pointer is to a NUL-terminated buffer or a structure that lives until the call returns; no handle is
    // inherited; the handles that come back are owned from here on.
    unsafe {
        let succeeded = CreateProcessW(
            program.as_ptr(),
            line.as_mut_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            FALSE,
            flags,
            block.as_ptr().cast(),
            directory.as_ptr(),
            &raw const startup,
            &raw mut created,
        );
        if succeeded == FALSE {
            return Err(io::Error::last_os_error());
        }
        CloseHandle(created.hThread);
        Ok(Process(OwnedHandle::from_raw_handle(created.hProcess)))
    }
}

/// Asks the WMI service to create the process. `None` when it does not, for whatever reason: there is another way.
fn create_by_service(words: &[String], directory: &Path) -> Option<Process> {
    // In a single-quoted string of PowerShell a quote is written twice, and nothing else means anything.
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let script = format!(
        "(Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{{CommandLine={};CurrentDirectory={}}}).ProcessId",
        literal(&command_line(words)?),
        literal(directory.to_str()?)
    );
    let mut shell = Command::new("powershell.exe");
    shell
        .args(["-NoProfile", "-NonInteractive", "-Command", &script])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    std::os::windows::process::CommandExt::creation_flags(&mut shell, CREATE_NO_WINDOW);
    let output = shell.output().ok().filter(|output| output.status.success())?;
    let pid: u32 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    // SAFETY: plain values go in; a handle that comes back is owned from here on.
    unsafe {
        let handle = OpenProcess(PROCESS_SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
        (!handle.is_null()).then(|| Process(OwnedHandle::from_raw_handle(handle)))
    }
}

fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain(std::iter::once(0)).collect()
}
