//! Whose a process is on Windows: the user of its token.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{FALSE, HANDLE};
use windows_sys::Win32::Security::{EqualSid, GetTokenInformation, PSID, TOKEN_QUERY, TOKEN_USER, TokenUser};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

/// Room for a token's user, in words of eight bytes: a SID has 68 bytes at most.
const USER_LEN_WORDS: usize = 32;

/// The user of a token, with the SID behind the structure that points to it; aligned for both.
struct User([u64; USER_LEN_WORDS]);

/// Tells whether a process belongs to this user.
///
/// # Errors
/// The system's answer; that of a process which another user keeps to itself is a refusal.
pub fn is_own(pid: u32) -> io::Result<bool> {
    // SAFETY: plain values go in; a handle that comes back is owned from here on.
    let process = unsafe {
        let handle = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        OwnedHandle::from_raw_handle(handle)
    };
    let theirs = user_of(process.as_raw_handle())?;
    // SAFETY: the pseudo handle of this process needs no closing.
    let ours = user_of(unsafe { GetCurrentProcess() })?;
    // SAFETY: both SIDs are in buffers that live until the call returns.
    Ok(unsafe { EqualSid(sid(&ours), sid(&theirs)) } != FALSE)
}

fn user_of(process: HANDLE) -> io::Result<Box<User>> {
    let mut user = Box::new(User([0; USER_LEN_WORDS]));
    let mut token: HANDLE = std::ptr::null_mut();
    let mut len_bytes = 0;
    // SAFETY: the handle is open; the token that comes back is owned and closed here; the buffer is as long as is said.
    unsafe {
        if OpenProcessToken(process, TOKEN_QUERY, &raw mut token) == FALSE {
            return Err(io::Error::last_os_error());
        }
        let token = OwnedHandle::from_raw_handle(token);
        let room = u32::try_from(size_of::<User>()).expect("the buffer is small");
        let buffer = (&raw mut user.0).cast();
        let told = GetTokenInformation(token.as_raw_handle(), TokenUser, buffer, room, &raw mut len_bytes);
        if told == FALSE {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(user)
}

fn sid(user: &User) -> PSID {
    // SAFETY: the buffer was filled by the system with this structure, and is aligned for it.
    unsafe { (*(&raw const user.0).cast::<TOKEN_USER>()).User.Sid }
}
