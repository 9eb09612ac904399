/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "streams.h"

#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum stream_kind { STREAM_TTY, STREAM_PIPE, STREAM_FILE, STREAM_KINDS };

/* st_blksize of each kind on Linux, which is what io.open() sizes a buffer by. */
static const int stream_buffer[STREAM_KINDS] = {1024, 4096, 4096};

static const struct {
    enum name attr, attr_orig;
    const char *name;
} stream_names[3] = {
    {NAME_stdin, NAME___stdin__, "<stdin>"},
    {NAME_stdout, NAME___stdout__, "<stdout>"},
    {NAME_stderr, NAME___stderr__, "<stderr>"},
};

static PyObject *stream_ready[3][STREAM_KINDS]; /* NULL: must be built at the start */
static PyObject *stream_io;                     /* module io */
static PyObject *stream_encoding;
static PyObject *stream_errors[3];

/*
 * What CPython's create_stdio() builds for descriptor fd; buffer 0 is unbuffered, as -u makes it.
 * Returns a new reference, or NULL with an exception.
 */
static PyObject *stream_create(int fd, bool line, int buffer, PyObject *encoding, PyObject *errors)
{
    bool unbuffered = buffer == 0;
    PyObject *name = NULL, *wrapper = NULL, *text = NULL, *mode = NULL;
    bool out = fd != 0;
    if (!out && unbuffered)
        buffer = -1; /* of stdin only the text layer changes */
    PyObject *buf = PyObject_CallMethod(stream_io, "open", "isiOOOO", fd, out ? "wb" : "rb", buffer, Py_None, Py_None,
                                        Py_None, Py_False);
    if (buf == NULL)
        return NULL;
    PyObject *raw = buffer != 0 ? PyObject_GetAttrString(buf, "raw") : Py_NewRef(buf);
    if (raw == NULL)
        goto done;
    name = PyUnicode_FromString(stream_names[fd].name);
    if (name == NULL || PyObject_SetAttrString(raw, "name", name) < 0)
        goto done;
    wrapper = PyObject_GetAttrString(stream_io, "TextIOWrapper");
    if (wrapper == NULL)
        goto done;
    text = PyObject_CallFunction(wrapper, "OOOsOO", buf, encoding, errors, "\n", line ? Py_True : Py_False,
                                 unbuffered ? Py_True : Py_False);
    if (text == NULL)
        goto done;
    mode = PyUnicode_FromString(out ? "w" : "r");
    if (mode == NULL || PyObject_SetAttrString(text, "mode", mode) < 0)
        Py_CLEAR(text);
done:
    Py_XDECREF(mode);
    Py_XDECREF(wrapper);
    Py_XDECREF(name);
    Py_XDECREF(raw);
    Py_DECREF(buf);
    return text;
}

/* Builds fd's stream of a kind while a descriptor of that kind stands at fd's place. */
static int stream_prepare_on(int fd, int stand_in, enum stream_kind kind)
{
    int saved = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    if (saved < 0 && errno != EBADF)
        return 0; /* cannot: the start builds its own */
    if (dup2(stand_in, fd) == fd)
        stream_ready[fd][kind] =
            stream_create(fd, kind == STREAM_TTY || fd == 2, stream_buffer[kind], stream_encoding, stream_errors[fd]);
    if (saved >= 0) {
        dup2(saved, fd);
        close(saved);
    } else {
        close(fd);
    }
    return PyErr_Occurred() ? -1 : 0;
}

int streams_prepare(void)
{
    int bad = 0, pipes[2] = {-1, -1};
    stream_io = PyImport_ImportModule("io");
    if (stream_io == NULL)
        return -1;
    for (int fd = 0; fd < 3; fd++) {
        PyObject *s = name_sys(stream_names[fd].attr);
        if (s != NULL && s != Py_None) {
            if (stream_encoding == NULL)
                stream_encoding = PyObject_GetAttrString(s, "encoding");
            stream_errors[fd] = PyObject_GetAttrString(s, "errors");
            if (PyErr_Occurred())
                return -1;
        } else {
            stream_errors[fd] = PyUnicode_FromString(fd == 2 ? "backslashreplace" : "surrogateescape");
        }
    }
    if (stream_encoding == NULL)
        stream_encoding = PyUnicode_FromString("utf-8");

    /* A pipe cannot seek and neither can a terminal; /dev/null seeks like an empty file. */
    if (pipe2(pipes, O_CLOEXEC) == 0) {
        for (int fd = 0; fd < 3 && !bad; fd++) {
            bad = stream_prepare_on(fd, pipes[fd != 0], STREAM_TTY) < 0 ||
                  stream_prepare_on(fd, pipes[fd != 0], STREAM_PIPE) < 0;
        }
        close(pipes[0]);
        close(pipes[1]);
    }
    int null = bad ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        for (int fd = 0; fd < 3 && !bad; fd++)
            bad = stream_prepare_on(fd, null, STREAM_FILE) < 0;
        close(null);
    }
    return bad ? -1 : 0;
}

/* PYTHONIOENCODING is ENCODING[:ERRORS]; either may be empty. New references in *encoding, *errors. */
static int stream_parse_encoding(const char *value, PyObject **encoding, PyObject **errors)
{
    const char *colon = strchr(value, ':');
    size_t n = colon != NULL ? (size_t)(colon - value) : strlen(value);
    if (n > 0) {
        /* The codec's own name for itself, as natively: latin-1 is iso8859-1. */
        PyObject *codecs = PyImport_ImportModule("codecs");
        PyObject *codec = codecs != NULL ? PyObject_CallMethod(codecs, "lookup", "s#", value, (Py_ssize_t)n) : NULL;
        *encoding = codec != NULL ? PyObject_GetAttrString(codec, "name") : NULL;
        Py_XDECREF(codec);
        Py_XDECREF(codecs);
        *errors = PyUnicode_FromString("strict");
        if (*encoding == NULL || *errors == NULL)
            return -1;
    }
    if (colon != NULL && colon[1] != '\0') {
        Py_XSETREF(*errors, PyUnicode_FromString(colon + 1));
        if (*errors == NULL)
            return -1;
    }
    return 0;
}

/* Returns a new reference, Py_None for a closed descriptor, or NULL with an exception. */
static PyObject *stream_start(int fd, const struct request *r, bool unbuffered, PyObject *encoding, PyObject *errors)
{
    bool tty = (r->tty & (1u << fd)) != 0;
    enum stream_kind kind = STREAM_TTY;
    bool odd = unbuffered || encoding != NULL || errors != NULL;
    if (!tty) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        if (at < 0 && errno == EBADF)
            return Py_NewRef(Py_None);
        kind = at < 0 ? STREAM_PIPE : STREAM_FILE;
        odd = odd || at > 0;
    }
    if (!odd && stream_ready[fd][kind] != NULL) {
        /* sys shall hold the only reference: dropping that one flushes the stream. */
        PyObject *ready = stream_ready[fd][kind];
        stream_ready[fd][kind] = NULL;
        return ready;
    }
    if (fd == 2)
        errors = stream_errors[2]; /* stderr keeps backslashreplace whatever PYTHONIOENCODING says */
    PyObject *s =
        stream_create(fd, !unbuffered && (tty || fd == 2), unbuffered ? 0 : stream_buffer[kind],
                      encoding != NULL ? encoding : stream_encoding, errors != NULL ? errors : stream_errors[fd]);
    if (s == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear(); /* a directory, say: natively None as well */
        return Py_NewRef(Py_None);
    }
    return s;
}

int streams_renew(const struct request *r)
{
    PyObject *encoding = NULL, *errors = NULL;
    const char *value = request_getenv(r, "PYTHONIOENCODING");
    bool unbuffered = request_getenv(r, "PYTHONUNBUFFERED") != NULL;
    int ret = -1;
    if (value != NULL && stream_parse_encoding(value, &encoding, &errors) < 0)
        goto done;
    for (int fd = 0; fd < 3; fd++) {
        PyObject *s = stream_start(fd, r, unbuffered, encoding, errors);
        if (s == NULL)
            goto done;
        int bad = name_sys_set(stream_names[fd].attr, s) | name_sys_set(stream_names[fd].attr_orig, s);
        Py_DECREF(s);
        if (bad)
            goto done;
    }
    ret = 0;
done:
    Py_XDECREF(encoding);
    Py_XDECREF(errors);
    return ret;
}
