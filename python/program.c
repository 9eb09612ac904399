/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "program.h"

#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <marshal.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static PyObject *program_main;          /* module __main__'s dictionary, borrowed */
static PyObject *program_source_loader; /* class SourceFileLoader */
static long program_magic;              /* what byte code begins with */

int program_prepare(void)
{
    PyObject *module = PyImport_AddModule("__main__");
    if (module == NULL)
        return -1;
    program_main = PyModule_GetDict(module);
    PyObject *external = PyImport_ImportModule("_frozen_importlib_external");
    if (external == NULL)
        return -1;
    program_magic = PyImport_GetMagicNumber();
    program_source_loader = PyObject_GetAttrString(external, "SourceFileLoader");
    Py_DECREF(external);
    return program_source_loader != NULL ? 0 : -1;
}

/* An absolute path the way CPython makes one: the working directory in front, nothing taken out. */
static PyObject *program_absolute(const char *word, const char *cwd)
{
    char buf[PATH_MAX];
    if (word[0] == '/' || (cwd == NULL && (cwd = getcwd(buf, sizeof buf)) == NULL))
        return PyUnicode_DecodeFSDefault(word);
    PyObject *bytes = PyBytes_FromFormat("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, word);
    if (bytes == NULL)
        return NULL;
    PyObject *path = PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    return path;
}

/* Does cwd and a word that goes down from it, perhaps by way of ".", name script? */
static bool program_is_script(const char *word, const char *cwd, const char *script)
{
    size_t n = strlen(cwd);
    while (word[0] == '.' && word[1] == '/')
        word += 2;
    return strncmp(script, cwd, n) == 0 && script[n] == '/' && strcmp(script + n + 1, word) == 0;
}

int program_parse(struct program *p, const struct request *r, int *args)
{
    *p = (struct program){.kind = PROGRAM_STDIN, .name = r->argv[0], .cwd = r->cwd};
    *args = 2;
    const char *word = r->argc > 1 ? r->argv[1] : NULL;
    if (word == NULL || strcmp(word, "-") == 0) {
        p->kind = r->tty & 1 ? PROGRAM_PROMPT : PROGRAM_STDIN;
        if (word == NULL)
            *args = 1;
        return 0;
    }
    if (word[0] != '-') {
        p->kind = PROGRAM_FILE;
        p->word = PyUnicode_DecodeFSDefault(word);
        if (word[0] != '/' && r->cwd != NULL && r->script != NULL && !program_is_script(word, r->cwd, r->script))
            p->path = PyUnicode_DecodeFSDefault(r->script);
        else
            p->path = program_absolute(word, r->cwd);
        return p->word != NULL && p->path != NULL ? 0 : -1;
    }
    /* -c CODE or -cCODE; anything else is for a new interpreter's eyes. */
    const char *text = word[1] != 'c' && word[1] != 'm' ? NULL
                       : word[2] != '\0'                ? word + 2
                       : r->argc > 2                    ? r->argv[2]
                                                        : NULL;
    if (text == NULL) {
        p->kind = PROGRAM_ODD;
        return 0;
    }
    *args = word[2] != '\0' ? 2 : 3;
    p->kind = word[1] == 'c' ? PROGRAM_CODE : PROGRAM_MODULE;
    p->word = PyUnicode_DecodeFSDefault(text);
    if (p->word != NULL && p->kind == PROGRAM_CODE)
        Py_SETREF(p->word, PyUnicode_FromFormat("%U\n", p->word)); /* as CPython does */
    return p->word != NULL ? 0 : -1;
}

/* sys.argv[0] at the start; for a module runpy puts its path there. */
PyObject *program_argv0(const struct program *p, int args)
{
    if (p->kind == PROGRAM_FILE)
        return Py_NewRef(p->word);
    return PyUnicode_FromString(p->kind == PROGRAM_CODE     ? "-c"
                                : p->kind == PROGRAM_MODULE ? "-m"
                                : args > 1                  ? "-"
                                                            : "");
}

/* ---- how it ends ---- */

/* The status that a SystemExit asks for; prints what is no number. Clears the exception. */
static int program_exit_status(void)
{
    PyObject *type, *value, *trace;
    int status = 0;
    fflush(stdout);
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *code = value != NULL ? Py_NewRef(value) : Py_NewRef(Py_None);
    if (PyExceptionInstance_Check(code)) {
        PyObject *attr = PyObject_GetAttrString(code, "code");
        if (attr != NULL)
            Py_SETREF(code, attr);
        else
            PyErr_Clear();
    }
    if (PyLong_Check(code)) {
        status = (int)PyLong_AsLong(code);
        PyErr_Clear();
    } else if (code != Py_None) {
        PyObject *err = PySys_GetObject("stderr");
        if (err != NULL && err != Py_None)
            PyFile_WriteObject(code, err, Py_PRINT_RAW);
        else
            PyObject_Print(code, stderr, Py_PRINT_RAW);
        PyErr_Clear();
        PySys_WriteStderr("\n");
        status = 1;
    }
    Py_DECREF(code);
    PyErr_Restore(type, value, trace);
    PyErr_Clear();
    return status;
}

/* The end of a program that left an exception; *exited: it was SystemExit. */
static struct program_end program_caught(bool *exited)
{
    *exited = PyErr_ExceptionMatches(PyExc_SystemExit) != 0;
    if (*exited)
        return (struct program_end){.status = program_exit_status()};
    struct program_end end = {.status = 1, .interrupted = PyErr_Occurred() == PyExc_KeyboardInterrupt};
    PyErr_Print();
    return end;
}

static struct program_end program_finish(PyObject *result)
{
    bool exited;
    if (result == NULL)
        return program_caught(&exited);
    Py_DECREF(result);
    return (struct program_end){.status = 0};
}

/* ---- sys.path[0] ---- */

static int program_path_insert(PyObject *entry)
{
    PyObject *path = name_sys(NAME_path);
    if (path == NULL || !PyList_Check(path)) {
        PyErr_SetString(PyExc_RuntimeError, "unable to get sys.path");
        return -1;
    }
    return PyList_Insert(path, 0, entry);
}

static int program_path_insert_bytes(const char *dir, size_t n)
{
    PyObject *entry = PyUnicode_DecodeFSDefaultAndSize(dir, (Py_ssize_t)n);
    if (entry == NULL)
        return -1;
    int ret = program_path_insert(entry);
    Py_DECREF(entry);
    return ret;
}

/*
 * The folder of the script with symbolic links followed. linked says that the script itself may be
 * one. realpath(3) looks at every component, so it is spared where the answer is known.
 */
static int program_path_insert_folder(const struct program *p, bool linked)
{
    char real[PATH_MAX];
    PyObject *bytes = PyUnicode_EncodeFSDefault(p->path);
    if (bytes == NULL)
        return -1;
    const char *path = PyBytes_AS_STRING(bytes);
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    bool known = !linked && p->cwd != NULL && n == strlen(p->cwd) && strncmp(path, p->cwd, n) == 0;
    if (!known && realpath(path, real) != NULL) {
        path = real;
        slash = strrchr(path, '/');
        n = (size_t)(slash - path);
    }
    int ret = program_path_insert_bytes(path, slash == path ? 1 : n);
    Py_DECREF(bytes);
    return ret;
}

static int program_path_insert_cwd(const struct program *p)
{
    char buf[PATH_MAX];
    const char *cwd = p->cwd != NULL ? p->cwd : getcwd(buf, sizeof buf);
    return cwd != NULL ? program_path_insert_bytes(cwd, strlen(cwd)) : 0;
}

/* ---- the four ways to run ---- */

static struct program_end program_run_module(PyObject *name, bool set_argv0)
{
    PyObject *runpy = PyImport_ImportModule("runpy"), *result = NULL;
    if (PySys_Audit("cpython.run_module", "O", name) == 0 && runpy != NULL)
        result = PyObject_CallMethod(runpy, "_run_module_as_main", "Oi", name, set_argv0);
    Py_XDECREF(runpy);
    return program_finish(result);
}

static struct program_end program_run_code(PyObject *code)
{
    PyObject *result = NULL;
    if (PySys_Audit("cpython.run_command", "O", code) == 0) {
        PyObject *bytes = PyUnicode_AsUTF8String(code);
        if (bytes == NULL) {
            PySys_WriteStderr("Unable to decode the command from the command line:\n");
            return program_finish(NULL);
        }
        PyCompilerFlags flags = _PyCompilerFlags_INIT;
        flags.cf_flags |= PyCF_IGNORE_COOKIE;
        result = PyRun_StringFlags(PyBytes_AS_STRING(bytes), Py_file_input, program_main, program_main, &flags);
        Py_DECREF(bytes);
    }
    return program_finish(result);
}

/* CPython does this after a file or stdin has run, not after -c; an error shows at finalisation. */
static void program_flush(enum name name)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *stream = name_sys(name);
    PyObject *result = stream != NULL ? PyObject_CallMethodNoArgs(stream, name_get(NAME_flush)) : NULL;
    Py_XDECREF(result);
    PyErr_Clear();
    PyErr_Restore(type, value, trace);
}

/* Runs a stream in __main__ and closes it unless it is stdin. */
static struct program_end program_run_stream(FILE *stream, PyObject *name, PyObject *loader)
{
    struct program_end end = {.status = 1};
    bool exited = false;
    PyObject *bytes = PyUnicode_EncodeFSDefault(name), *result = NULL;
    if (bytes == NULL || PyDict_SetItem(program_main, name_get(NAME___file__), name) < 0 ||
        PyDict_SetItem(program_main, name_get(NAME___cached__), Py_None) < 0 ||
        (loader != NULL && PyDict_SetItem(program_main, name_get(NAME___loader__), loader) < 0)) {
        Py_XDECREF(bytes);
        if (stream != stdin)
            fclose(stream);
        return program_caught(&exited);
    }
    PyCompilerFlags flags = _PyCompilerFlags_INIT;
    result = PyRun_FileExFlags(stream, PyBytes_AS_STRING(bytes), Py_file_input, program_main, program_main,
                               stream != stdin, &flags);
    Py_DECREF(bytes);
    program_flush(NAME_stderr);
    program_flush(NAME_stdout);
    if (result != NULL) {
        Py_DECREF(result);
        end.status = 0;
    } else {
        end = program_caught(&exited);
    }
    if (!exited) {
        if (PyDict_DelItem(program_main, name_get(NAME___file__)) < 0)
            PyErr_Clear();
        if (PyDict_DelItem(program_main, name_get(NAME___cached__)) < 0)
            PyErr_Clear();
    }
    return end;
}

static struct program_end program_run_stdin(void)
{
    bool exited;
    PyObject *name = PyUnicode_FromString("<stdin>");
    if (name == NULL || PySys_Audit("cpython.run_stdin", NULL) < 0)
        return program_caught(&exited);
    struct program_end end = program_run_stream(stdin, name, NULL);
    Py_DECREF(name);
    return end;
}

/* ---- files ---- */

struct source {
    char *data;
    size_t size, at;
    bool linked;    /* the last component is a symbolic link, or may be one */
    bool directory; /* nothing was read */
};

/* Reads all of path; returns 0 or an errno. A directory is no error here. */
static int source_read(struct source *s, const char *path)
{
    size_t room = 32768;
    int error = 0;
    *s = (struct source){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ELOOP) {
        s->linked = true;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return errno;
    s->data = malloc(room);
    while (s->data != NULL) {
        ssize_t n = read(fd, s->data + s->size, room - s->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error = n < 0 ? errno : 0;
            break;
        }
        s->size += (size_t)n;
        if (s->size == room) {
            char *more = realloc(s->data, room *= 2);
            if (more == NULL)
                free(s->data);
            s->data = more;
        }
    }
    close(fd);
    if (s->data == NULL)
        return ENOMEM;
    s->directory = error == EISDIR;
    return s->directory ? 0 : error;
}

static ssize_t source_stream_read(void *cookie, char *buf, size_t n)
{
    struct source *s = cookie;
    if (n > s->size - s->at)
        n = s->size - s->at;
    memcpy(buf, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

/* A zip archive ends in its directory's end record and a comment of at most 64 KiB. */
static bool source_is_zip(const struct source *s)
{
    size_t tail = s->size < 65557 ? s->size : 65557;
    return s->size >= 22 && memmem(s->data + s->size - tail, tail, "PK\5\6", 4) != NULL;
}

static bool source_is_bytecode(const struct source *s, const char *path)
{
    size_t n = strlen(path);
    return (n > 4 && strcmp(path + n - 4, ".pyc") == 0) ||
           (s->size >= 2 && (unsigned char)s->data[0] == (program_magic & 0xff) &&
            (unsigned char)s->data[1] == ((program_magic >> 8) & 0xff));
}

/*
 * Does one of the first two lines name an encoding other than utf-8? CPython's reader then wants a
 * stream with a descriptor. Says yes once too often rather than once too seldom.
 */
static bool source_names_encoding(const struct source *s)
{
    const char *at = s->data, *end = s->data + s->size;
    for (int line = 0; line < 2 && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        const char *word = memmem(at, (size_t)(stop - at), "coding", 6);
        if (word != NULL && memchr(at, '#', (size_t)(word - at)) != NULL) {
            for (word += 6; word < stop && (*word == ':' || *word == '=' || *word == ' ' || *word == '\t');)
                word++;
            size_t left = (size_t)(stop - word);
            if (left < 5 || (strncasecmp(word, "utf-8", 5) != 0 && strncasecmp(word, "utf_8", 5) != 0))
                return true;
        }
        at = newline != NULL ? newline + 1 : end;
    }
    return false;
}

/* A directory or a zip archive with a __main__; returns false when path is neither. */
static bool program_run_importer(const struct program *p, struct program_end *end)
{
    bool exited;
    PyObject *importer = PyImport_GetImporter(p->path);
    if (importer == NULL) {
        *end = program_caught(&exited);
        return true;
    }
    bool found = importer != Py_None;
    Py_DECREF(importer);
    if (!found)
        return false;
    PyObject *main = PyUnicode_FromString("__main__");
    if (main == NULL || program_path_insert(p->path) < 0)
        *end = program_caught(&exited);
    else
        *end = program_run_module(main, false);
    Py_XDECREF(main);
    return true;
}

static struct program_end program_run_bytecode(const char *path)
{
    /* The one way to load it that is public prints and exits by itself; that is all right here. */
    FILE *stream = fopen(path, "rb");
    struct program_end end = {.status = 2};
    if (stream == NULL)
        return end;
    PyCompilerFlags flags = _PyCompilerFlags_INIT;
    end.status = PyRun_SimpleFileExFlags(stream, path, 1, &flags) != 0;
    return end;
}

static struct program_end program_run_file(const struct program *p)
{
    struct program_end end = {.status = 1};
    struct source source = {0};
    bool exited;
    PyObject *bytes = PyUnicode_EncodeFSDefault(p->path), *loader = NULL;
    if (bytes == NULL)
        return program_caught(&exited);
    const char *path = PyBytes_AS_STRING(bytes);
    int error = source_read(&source, path);
    if (error == 0 && (source.directory || source_is_zip(&source)) && program_run_importer(p, &end))
        goto done;
    if (!p->safe_path && program_path_insert_folder(p, source.linked || error != 0) < 0) {
        end = program_caught(&exited);
        goto done;
    }
    if (PySys_Audit("cpython.run_file", "O", p->path) < 0) {
        end = program_caught(&exited);
        goto done;
    }
    if (error != 0) {
        PySys_FormatStderr("%s: can't open file %R: [Errno %d] %s\n", p->name, p->path, error, strerror(error));
        end.status = 2;
        goto done;
    }
    if (source.directory) {
        PySys_FormatStderr("%s: %R is a directory, cannot continue\n", p->name, p->path);
        goto done;
    }
    /* What CPython's search for a directory or an archive leaves behind for a plain file. */
    PyObject *cache = name_sys(NAME_path_importer_cache);
    if (cache != NULL && PyDict_Check(cache) && PyDict_SetItem(cache, p->path, Py_None) < 0)
        PyErr_Clear();
    if (source_is_bytecode(&source, path)) {
        end = program_run_bytecode(path);
        goto done;
    }
    cookie_io_functions_t calls = {.read = source_stream_read};
    FILE *stream = source_names_encoding(&source) ? fopen(path, "rb") : fopencookie(&source, "rb", calls);
    loader = PyObject_CallFunctionObjArgs(program_source_loader, name_get(NAME___main__), p->path, NULL);
    if (loader == NULL || stream == NULL) {
        if (stream != NULL)
            fclose(stream);
        else if (loader != NULL)
            PyErr_SetFromErrno(PyExc_OSError);
        end = program_caught(&exited);
        goto done;
    }
    end = program_run_stream(stream, p->path, loader);
done:
    Py_XDECREF(loader);
    Py_DECREF(bytes);
    free(source.data);
    return end;
}

/* PYTHONINSPECT, set by the program itself, asks for a prompt after it. */
static void program_prompt_after(struct program_end *end)
{
    const char *inspect = getenv("PYTHONINSPECT");
    if (inspect == NULL || *inspect == '\0' || !isatty(0))
        return;
    PyObject *hook = PySys_GetObject("__interactivehook__");
    PyObject *result = hook != NULL ? PyObject_CallNoArgs(hook) : NULL;
    if (hook != NULL && result == NULL)
        PyErr_Print();
    Py_XDECREF(result);
    PyCompilerFlags flags = _PyCompilerFlags_INIT;
    end->status = PyRun_AnyFileExFlags(stdin, "<stdin>", 0, &flags) != 0;
}

struct program_end program_run(const struct program *p)
{
    struct program_end end = {.status = 1};
    bool exited = false;
    int bad = 0;
    if (p->kind == PROGRAM_MODULE && !p->safe_path)
        bad = program_path_insert_cwd(p);
    else if (p->kind != PROGRAM_FILE && !p->safe_path)
        bad = program_path_insert_bytes("", 0);
    if (bad < 0)
        return program_caught(&exited);
    if (p->kind == PROGRAM_FILE)
        end = program_run_file(p);
    else if (p->kind == PROGRAM_CODE)
        end = program_run_code(p->word);
    else if (p->kind == PROGRAM_MODULE)
        end = program_run_module(p->word, true);
    else
        end = program_run_stdin();
    program_prompt_after(&end);
    return end;
}
