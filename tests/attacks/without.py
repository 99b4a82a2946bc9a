"""Executes a program for which one option of getsockopt(2) fails, by a seccomp filter that its children inherit.

Usage: without.py OPTION ERRNO PROGRAM [ARGUMENT...]. With ERRNO 0 the call seems to succeed, and has told nothing.
"""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, OPTION = 0, 16 + 2 * 8  # offsets in struct seccomp_data; the low half of the third argument
GETSOCKOPT = {"x86_64": 55, "aarch64": 209}


class Program(ctypes.Structure):
    """struct sock_fprog"""
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    option, error = int(sys.argv[1]), int(sys.argv[2])
    steps = [(LOAD, 0, 0, NUMBER), (JUMP_IF_EQUAL, 0, 3, GETSOCKOPT[platform.machine()]), (LOAD, 0, 0, OPTION),
             (JUMP_IF_EQUAL, 0, 1, option), (RETURN, 0, 0, ERRNO | error), (RETURN, 0, 0, ALLOW)]
    packed = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(steps), packed)), 0, 0) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
    os.execv(sys.argv[3], sys.argv[3:])


main()
