/* SPDX-License-Identifier: MIT */
/*
 * Built-in module _json: what the library's json package speeds itself up with. The static library
 * lacks it, and without it json is five to ten times slower. Same names, results and messages as
 * CPython's; tests/e2e/ending/json_fuzz.py holds the two side by side.
 */
#include "builtin_json.h"

#include <stdbool.h>
#include <string.h>

/* ---- a growing string ---- */

struct text {
    int kind; /* bytes a character: 1, 2 or 4 */
    char *data;
    size_t length, room; /* characters */
    char small[512];
};

static void text_init(struct text *t)
{
    t->kind = 1;
    t->data = t->small;
    t->length = 0;
    t->room = sizeof t->small;
}

static void text_clear(struct text *t)
{
    if (t->data != t->small)
        PyMem_Free(t->data);
}

/* Room for n more characters of a kind. Returns 0, or -1 with MemoryError. */
static int text_reserve(struct text *t, size_t n, int kind)
{
    size_t want = t->length + n;
    if (kind <= t->kind && want <= t->room)
        return 0;
    int wide = kind > t->kind ? kind : t->kind;
    size_t room = want <= t->room ? t->room : want + want / 2 + 64;
    if (room > PY_SSIZE_T_MAX / 4) {
        PyErr_NoMemory();
        return -1;
    }
    char *data = PyMem_Malloc(room * (size_t)wide);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (wide == t->kind)
        memcpy(data, t->data, t->length * (size_t)wide);
    else
        for (size_t i = 0; i < t->length; i++)
            PyUnicode_WRITE(wide, data, i, PyUnicode_READ(t->kind, t->data, i));
    text_clear(t);
    t->data = data;
    t->room = room;
    t->kind = wide;
    return 0;
}

static int text_put_ascii(struct text *t, const char *s, size_t n)
{
    if (text_reserve(t, n, 1) < 0)
        return -1;
    if (t->kind == 1)
        memcpy(t->data + t->length, s, n);
    else
        for (size_t i = 0; i < n; i++)
            PyUnicode_WRITE(t->kind, t->data, t->length + i, (unsigned char)s[i]);
    t->length += n;
    return 0;
}

static int text_put_range(struct text *t, PyObject *s, Py_ssize_t from, Py_ssize_t to)
{
    int kind = PyUnicode_KIND(s);
    const char *data = PyUnicode_DATA(s);
    size_t n = (size_t)(to - from);
    if (text_reserve(t, n, kind) < 0)
        return -1;
    if (kind == t->kind)
        memcpy(t->data + t->length * (size_t)kind, data + from * kind, n * (size_t)kind);
    else
        for (size_t i = 0; i < n; i++)
            PyUnicode_WRITE(t->kind, t->data, t->length + i, PyUnicode_READ(kind, data, from + (Py_ssize_t)i));
    t->length += n;
    return 0;
}

static int text_put_str(struct text *t, PyObject *s)
{
    if (!PyUnicode_Check(s)) {
        PyErr_Format(PyExc_TypeError, "sequence item: expected str instance, %.80s found", Py_TYPE(s)->tp_name);
        return -1;
    }
    return PyUnicode_READY(s) < 0 ? -1 : text_put_range(t, s, 0, PyUnicode_GET_LENGTH(s));
}

static int text_put_char(struct text *t, Py_UCS4 c)
{
    if (text_reserve(t, 1, c < 0x100 ? 1 : c < 0x10000 ? 2 : 4) < 0)
        return -1;
    PyUnicode_WRITE(t->kind, t->data, t->length, c);
    t->length++;
    return 0;
}

static PyObject *text_finish(const struct text *t)
{
    return PyUnicode_FromKindAndData(t->kind, t->data, (Py_ssize_t)t->length);
}

/* ---- strings, out ---- */

/* The escape of c, or 0 where c stands for itself. */
static size_t escape_make(Py_UCS4 c, bool ascii, char out[12])
{
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\b\t\n\f\r\"\\", letter[] = "btnfr\"\\";
    const char *at = c != 0 && c < 128 ? strchr(plain, (int)c) : NULL;
    if (at != NULL) {
        out[0] = '\\';
        out[1] = letter[at - plain];
        return 2;
    }
    if (c >= 0x20 && (c < 0x7f || !ascii))
        return 0;
    Py_UCS4 unit[2] = {c, 0};
    int units = 1;
    if (c >= 0x10000) {
        unit[0] = Py_UNICODE_HIGH_SURROGATE(c);
        unit[1] = Py_UNICODE_LOW_SURROGATE(c);
        units = 2;
    }
    for (int u = 0; u < units; u++) {
        out[6 * u] = '\\';
        out[6 * u + 1] = 'u';
        for (int i = 0; i < 4; i++)
            out[6 * u + 2 + i] = hex[(unit[u] >> (12 - 4 * i)) & 15];
    }
    return (size_t)(6 * units);
}

static int text_put_quoted(struct text *t, PyObject *s, bool ascii)
{
    char escape[12];
    if (PyUnicode_READY(s) < 0 || text_put_char(t, '"') < 0)
        return -1;
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    Py_ssize_t n = PyUnicode_GET_LENGTH(s), from = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || !ascii))
            continue;
        size_t length = escape_make(c, ascii, escape);
        if (length == 0)
            continue;
        if (text_put_range(t, s, from, i) < 0 || text_put_ascii(t, escape, length) < 0)
            return -1;
        from = i + 1;
    }
    if (text_put_range(t, s, from, n) < 0)
        return -1;
    return text_put_char(t, '"');
}

static PyObject *json_quote(PyObject *s, bool ascii)
{
    struct text t;
    if (!PyUnicode_Check(s)) {
        PyErr_Format(PyExc_TypeError, "first argument must be a string, not %.80s", Py_TYPE(s)->tp_name);
        return NULL;
    }
    text_init(&t);
    PyObject *result = text_put_quoted(&t, s, ascii) < 0 ? NULL : text_finish(&t);
    text_clear(&t);
    return result;
}

static PyObject *json_encode_basestring(PyObject *module, PyObject *s) { return json_quote(s, false); }

static PyObject *json_encode_basestring_ascii(PyObject *module, PyObject *s) { return json_quote(s, true); }

/* ---- errors, in ---- */

static PyObject *json_fail(const char *message, PyObject *s, Py_ssize_t at)
{
    PyObject *decoder = PyImport_ImportModule("json.decoder");
    PyObject *type = decoder != NULL ? PyObject_GetAttrString(decoder, "JSONDecodeError") : NULL;
    PyObject *error = type != NULL ? PyObject_CallFunction(type, "sOn", message, s, at) : NULL;
    if (error != NULL)
        PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(type);
    Py_XDECREF(decoder);
    return NULL;
}

/* No value at this place: json.decoder makes "Expecting value" of it. */
static PyObject *json_stop(Py_ssize_t at)
{
    PyObject *value = PyLong_FromSsize_t(at);
    if (value != NULL) {
        PyErr_SetObject(PyExc_StopIteration, value);
        Py_DECREF(value);
    }
    return NULL;
}

/* ---- strings, in ---- */

/* Four hexadecimal digits at i, or -1. */
static long json_hex4(int kind, const void *data, Py_ssize_t i)
{
    long value = 0;
    for (Py_ssize_t end = i + 4; i < end; i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        int digit = c >= '0' && c <= '9'   ? (int)c - '0'
                    : c >= 'a' && c <= 'f' ? (int)c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? (int)c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The string whose opening quote stands before at; *next is the place after the closing one. */
static PyObject *json_scan_string(PyObject *s, Py_ssize_t at, bool strict, Py_ssize_t *next)
{
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    Py_ssize_t n = PyUnicode_GET_LENGTH(s), begin = at - 1, from = at;
    PyObject *result = NULL;
    struct text t;
    if (at < 0 || at > n) {
        PyErr_SetString(PyExc_ValueError, "end is out of bounds");
        return NULL;
    }
    text_init(&t);
    for (;;) {
        Py_UCS4 c = 0;
        for (; at < n; at++) {
            c = PyUnicode_READ(kind, data, at);
            if (c == '"' || c == '\\')
                break;
            if (c < 0x20 && strict) {
                json_fail("Invalid control character at", s, at);
                goto done;
            }
        }
        if (at >= n || (c == '\\' && at + 1 == n)) {
            json_fail("Unterminated string starting at", s, begin);
            goto done;
        }
        if (c == '"' && t.length == 0) { /* nothing escaped */
            result = PyUnicode_Substring(s, from, at);
            break;
        }
        if (text_put_range(&t, s, from, at) < 0)
            goto done;
        if (c == '"') {
            result = text_finish(&t);
            break;
        }
        c = PyUnicode_READ(kind, data, at + 1);
        if (c != 'u') {
            static const char letter[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
            const char *found = c != 0 && c < 128 ? strchr(letter, (int)c) : NULL;
            if (found == NULL) {
                json_fail("Invalid \\escape", s, at);
                goto done;
            }
            if (text_put_char(&t, (unsigned char)plain[found - letter]) < 0)
                goto done;
            from = at += 2;
            continue;
        }
        /* A string cannot end in the last digit: the quote is to come. */
        long unit = at + 6 < n ? json_hex4(kind, data, at + 2) : -1;
        if (unit < 0) {
            json_fail("Invalid \\uXXXX escape", s, at + 1);
            goto done;
        }
        c = (Py_UCS4)unit;
        from = at += 6;
        if (Py_UNICODE_IS_HIGH_SURROGATE(c) && at + 6 < n && PyUnicode_READ(kind, data, at) == '\\' &&
            PyUnicode_READ(kind, data, at + 1) == 'u') {
            long low = json_hex4(kind, data, at + 2);
            if (low < 0) {
                json_fail("Invalid \\uXXXX escape", s, at + 1);
                goto done;
            }
            if (Py_UNICODE_IS_LOW_SURROGATE((Py_UCS4)low)) {
                c = Py_UNICODE_JOIN_SURROGATES(c, (Py_UCS4)low);
                from = at += 6;
            }
        }
        if (text_put_char(&t, c) < 0)
            goto done;
    }
    *next = at + 1;
done:
    text_clear(&t);
    return result;
}

static PyObject *json_scanstring(PyObject *module, PyObject *args)
{
    PyObject *s;
    Py_ssize_t at, next = -1;
    int strict = 1;
    if (!PyArg_ParseTuple(args, "On|p:scanstring", &s, &at, &strict))
        return NULL;
    if (!PyUnicode_Check(s)) {
        PyErr_Format(PyExc_TypeError, "first argument must be a string, not %.80s", Py_TYPE(s)->tp_name);
        return NULL;
    }
    if (PyUnicode_READY(s) < 0)
        return NULL;
    PyObject *result = json_scan_string(s, at, strict, &next);
    return result != NULL ? Py_BuildValue("(Nn)", result, next) : NULL;
}

/* ---- the scanner ---- */

struct scanner {
    PyObject_HEAD bool strict;
    PyObject *object_hook, *object_pairs_hook, *parse_float, *parse_int, *parse_constant;
    PyObject *memo; /* keys of the document being read, each once */
};

static PyObject *scanner_value(struct scanner *c, PyObject *s, Py_ssize_t at, Py_ssize_t *next);

static Py_ssize_t json_skip_space(int kind, const void *data, Py_ssize_t at, Py_ssize_t n)
{
    for (; at < n; at++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, at);
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            break;
    }
    return at;
}

/* Adds one pair to a dict, or to a list where there is a hook for pairs. Takes key and value over. */
static int scanner_add(PyObject *into, PyObject *key, PyObject *value, bool pairs)
{
    int bad;
    if (pairs) {
        PyObject *pair = PyTuple_Pack(2, key, value);
        bad = pair == NULL ? -1 : PyList_Append(into, pair);
        Py_XDECREF(pair);
    } else {
        bad = PyDict_SetItem(into, key, value);
    }
    Py_DECREF(key);
    Py_DECREF(value);
    return bad;
}

/* at is the place after the brace. */
static PyObject *scanner_object(struct scanner *c, PyObject *s, Py_ssize_t at, Py_ssize_t *next)
{
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    bool pairs = c->object_pairs_hook != Py_None;
    PyObject *into = pairs ? PyList_New(0) : PyDict_New();
    if (into == NULL)
        return NULL;
    at = json_skip_space(kind, data, at, n);
    if (at >= n || PyUnicode_READ(kind, data, at) != '}') {
        for (;;) {
            if (at >= n || PyUnicode_READ(kind, data, at) != '"') {
                json_fail("Expecting property name enclosed in double quotes", s, at);
                goto bad;
            }
            PyObject *key = json_scan_string(s, at + 1, c->strict, &at);
            if (key == NULL)
                goto bad;
            PyObject *once = PyDict_SetDefault(c->memo, key, key);
            Py_XINCREF(once);
            Py_SETREF(key, once);
            if (key == NULL)
                goto bad;
            at = json_skip_space(kind, data, at, n);
            if (at >= n || PyUnicode_READ(kind, data, at) != ':') {
                Py_DECREF(key);
                json_fail("Expecting ':' delimiter", s, at);
                goto bad;
            }
            at = json_skip_space(kind, data, at + 1, n);
            PyObject *value = scanner_value(c, s, at, &at);
            if (value == NULL) {
                Py_DECREF(key);
                goto bad;
            }
            if (scanner_add(into, key, value, pairs) < 0)
                goto bad;
            at = json_skip_space(kind, data, at, n);
            if (at < n && PyUnicode_READ(kind, data, at) == '}')
                break;
            if (at >= n || PyUnicode_READ(kind, data, at) != ',') {
                json_fail("Expecting ',' delimiter", s, at);
                goto bad;
            }
            at = json_skip_space(kind, data, at + 1, n);
        }
    }
    *next = at + 1;
    PyObject *hook = pairs ? c->object_pairs_hook : c->object_hook;
    if (hook != Py_None)
        Py_SETREF(into, PyObject_CallOneArg(hook, into));
    return into;
bad:
    Py_DECREF(into);
    return NULL;
}

/* at is the place after the bracket. */
static PyObject *scanner_array(struct scanner *c, PyObject *s, Py_ssize_t at, Py_ssize_t *next)
{
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    at = json_skip_space(kind, data, at, n);
    if (at >= n || PyUnicode_READ(kind, data, at) != ']') {
        for (;;) {
            PyObject *value = scanner_value(c, s, at, &at);
            int bad = value == NULL ? -1 : PyList_Append(list, value);
            Py_XDECREF(value);
            if (bad)
                goto bad;
            at = json_skip_space(kind, data, at, n);
            if (at < n && PyUnicode_READ(kind, data, at) == ']')
                break;
            if (at >= n || PyUnicode_READ(kind, data, at) != ',') {
                json_fail("Expecting ',' delimiter", s, at);
                goto bad;
            }
            at = json_skip_space(kind, data, at + 1, n);
        }
    }
    *next = at + 1;
    return list;
bad:
    Py_DECREF(list);
    return NULL;
}

static Py_ssize_t json_skip_digits(int kind, const void *data, Py_ssize_t at, Py_ssize_t n)
{
    while (at < n && PyUnicode_READ(kind, data, at) >= '0' && PyUnicode_READ(kind, data, at) <= '9')
        at++;
    return at;
}

static PyObject *scanner_number(struct scanner *c, PyObject *s, Py_ssize_t from, Py_ssize_t *next)
{
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    Py_ssize_t n = PyUnicode_GET_LENGTH(s), at = from;
    bool is_float = false;
    if (PyUnicode_READ(kind, data, at) == '-')
        at++;
    Py_ssize_t whole = at;
    at = json_skip_digits(kind, data, at, n);
    if (at == whole)
        return json_stop(from);
    if (PyUnicode_READ(kind, data, whole) == '0')
        at = whole + 1; /* a leading zero stands alone */
    if (at + 1 < n && PyUnicode_READ(kind, data, at) == '.') {
        Py_ssize_t end = json_skip_digits(kind, data, at + 1, n);
        if (end > at + 1) {
            at = end;
            is_float = true;
        }
    }
    if (at + 1 < n && (PyUnicode_READ(kind, data, at) == 'e' || PyUnicode_READ(kind, data, at) == 'E')) {
        Py_ssize_t start = at + 1;
        Py_UCS4 sign = PyUnicode_READ(kind, data, start);
        if (sign == '-' || sign == '+')
            start++;
        Py_ssize_t end = json_skip_digits(kind, data, start, n);
        if (end > start) {
            at = end;
            is_float = true;
        }
    }
    *next = at;
    PyObject *parse = is_float ? c->parse_float : c->parse_int;
    /* Short numbers need no Python string. */
    char digits[48];
    if (at - from < (Py_ssize_t)sizeof digits &&
        (parse == (PyObject *)&PyLong_Type || parse == (PyObject *)&PyFloat_Type)) {
        for (Py_ssize_t i = from; i < at; i++)
            digits[i - from] = (char)PyUnicode_READ(kind, data, i);
        digits[at - from] = '\0';
        if (!is_float && parse == (PyObject *)&PyLong_Type)
            return PyLong_FromString(digits, NULL, 10);
        if (is_float && parse == (PyObject *)&PyFloat_Type) {
            double value = PyOS_string_to_double(digits, NULL, NULL);
            return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble(value);
        }
    }
    PyObject *word = PyUnicode_Substring(s, from, at);
    PyObject *result = word != NULL ? PyObject_CallOneArg(parse, word) : NULL;
    Py_XDECREF(word);
    return result;
}

static bool json_is_word(int kind, const void *data, Py_ssize_t at, Py_ssize_t n, const char *word)
{
    Py_ssize_t length = (Py_ssize_t)strlen(word);
    if (n - at < length)
        return false;
    for (Py_ssize_t i = 0; i < length; i++)
        if (PyUnicode_READ(kind, data, at + i) != (Py_UCS4)word[i])
            return false;
    return true;
}

/* Any value at a place; *next is the place after it. */
static PyObject *scanner_value(struct scanner *c, PyObject *s, Py_ssize_t at, Py_ssize_t *next)
{
    static const char *const constants[] = {"NaN", "Infinity", "-Infinity"};
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    PyObject *result;
    if (at < 0) {
        PyErr_SetString(PyExc_ValueError, "idx cannot be negative");
        return NULL;
    }
    if (at >= n)
        return json_stop(at);
    switch (PyUnicode_READ(kind, data, at)) {
    case '"': return json_scan_string(s, at + 1, c->strict, next);
    case '{':
        if (Py_EnterRecursiveCall(" while decoding a JSON object from a unicode string"))
            return NULL;
        result = scanner_object(c, s, at + 1, next);
        Py_LeaveRecursiveCall();
        return result;
    case '[':
        if (Py_EnterRecursiveCall(" while decoding a JSON array from a unicode string"))
            return NULL;
        result = scanner_array(c, s, at + 1, next);
        Py_LeaveRecursiveCall();
        return result;
    case 'n':
        if (json_is_word(kind, data, at, n, "null")) {
            *next = at + 4;
            Py_RETURN_NONE;
        }
        break;
    case 't':
        if (json_is_word(kind, data, at, n, "true")) {
            *next = at + 4;
            Py_RETURN_TRUE;
        }
        break;
    case 'f':
        if (json_is_word(kind, data, at, n, "false")) {
            *next = at + 5;
            Py_RETURN_FALSE;
        }
        break;
    default: break;
    }
    for (int i = 0; i < 3; i++)
        if (json_is_word(kind, data, at, n, constants[i])) {
            *next = at + (Py_ssize_t)strlen(constants[i]);
            return PyObject_CallFunction(c->parse_constant, "s", constants[i]);
        }
    return scanner_number(c, s, at, next);
}

static PyObject *scanner_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"string", "idx", NULL};
    struct scanner *c = (struct scanner *)self;
    PyObject *s;
    Py_ssize_t at, next = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "On:scan_once", names, &s, &at))
        return NULL;
    if (!PyUnicode_Check(s)) {
        PyErr_Format(PyExc_TypeError, "first argument must be a string, not %.80s", Py_TYPE(s)->tp_name);
        return NULL;
    }
    if (PyUnicode_READY(s) < 0)
        return NULL;
    PyObject *result = scanner_value(c, s, at, &next);
    PyDict_Clear(c->memo);
    return result != NULL ? Py_BuildValue("(Nn)", result, next) : NULL;
}

static int scanner_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct scanner *c = (struct scanner *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(c->object_hook);
    Py_VISIT(c->object_pairs_hook);
    Py_VISIT(c->parse_float);
    Py_VISIT(c->parse_int);
    Py_VISIT(c->parse_constant);
    Py_VISIT(c->memo);
    return 0;
}

static int scanner_clear(PyObject *self)
{
    struct scanner *c = (struct scanner *)self;
    Py_CLEAR(c->object_hook);
    Py_CLEAR(c->object_pairs_hook);
    Py_CLEAR(c->parse_float);
    Py_CLEAR(c->parse_int);
    Py_CLEAR(c->parse_constant);
    Py_CLEAR(c->memo);
    return 0;
}

/* For both types: the instance goes, then the reference it holds to its type. */
static void json_dealloc(PyObject *self, inquiry clear)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static void scanner_dealloc(PyObject *self) { json_dealloc(self, scanner_clear); }

static PyObject *scanner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"context", NULL};
    PyObject *context;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:make_scanner", names, &context))
        return NULL;
    struct scanner *c = (struct scanner *)type->tp_alloc(type, 0);
    if (c == NULL)
        return NULL;
    PyObject *strict = PyObject_GetAttrString(context, "strict");
    int yes = strict != NULL ? PyObject_IsTrue(strict) : -1;
    Py_XDECREF(strict);
    c->strict = yes > 0;
    if (yes < 0 || (c->memo = PyDict_New()) == NULL ||
        (c->object_hook = PyObject_GetAttrString(context, "object_hook")) == NULL ||
        (c->object_pairs_hook = PyObject_GetAttrString(context, "object_pairs_hook")) == NULL ||
        (c->parse_float = PyObject_GetAttrString(context, "parse_float")) == NULL ||
        (c->parse_int = PyObject_GetAttrString(context, "parse_int")) == NULL ||
        (c->parse_constant = PyObject_GetAttrString(context, "parse_constant")) == NULL)
        Py_CLEAR(c);
    return (PyObject *)c;
}

static PyType_Slot scanner_slots[] = {
    {Py_tp_doc, "JSON scanner object"},
    {Py_tp_new, scanner_new},
    {Py_tp_call, scanner_call},
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_traverse, scanner_traverse},
    {Py_tp_clear, scanner_clear},
    {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "_json.Scanner",
    .basicsize = sizeof(struct scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = scanner_slots,
};

/* ---- the encoder ---- */

struct encoder {
    PyObject_HEAD PyObject *markers, *default_, *encoder, *indent, *key_separator, *item_separator;
    bool sort_keys, skipkeys, allow_nan;
    enum { QUOTE_CALL, QUOTE_ASCII, QUOTE_PLAIN } quote; /* what encoder is */
};

static int encoder_value(struct encoder *e, struct text *t, PyObject *o);

static int encoder_string(struct encoder *e, struct text *t, PyObject *s)
{
    if (e->quote != QUOTE_CALL)
        return text_put_quoted(t, s, e->quote == QUOTE_ASCII);
    PyObject *quoted = PyObject_CallOneArg(e->encoder, s);
    if (quoted == NULL)
        return -1;
    int bad;
    if (PyUnicode_Check(quoted)) {
        bad = text_put_str(t, quoted);
    } else {
        PyErr_Format(PyExc_TypeError, "encoder() must return a string, not %.80s", Py_TYPE(quoted)->tp_name);
        bad = -1;
    }
    Py_DECREF(quoted);
    return bad;
}

static int encoder_int(struct text *t, PyObject *o)
{
    int overflow;
    long value = PyLong_AsLongAndOverflow(o, &overflow);
    if (overflow != 0) {
        PyObject *repr = PyLong_Type.tp_repr(o);
        int bad = repr == NULL ? -1 : text_put_str(t, repr);
        Py_XDECREF(repr);
        return bad;
    }
    char digits[24];
    size_t at = sizeof digits;
    unsigned long rest = value < 0 ? 0ul - (unsigned long)value : (unsigned long)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (value < 0)
        digits[--at] = '-';
    return text_put_ascii(t, digits + at, sizeof digits - at);
}

static int encoder_float(struct encoder *e, struct text *t, PyObject *o)
{
    double value = PyFloat_AS_DOUBLE(o);
    if (!Py_IS_FINITE(value)) {
        if (!e->allow_nan) {
            PyErr_SetString(PyExc_ValueError, "Out of range float values are not JSON compliant");
            return -1;
        }
        const char *word = value > 0 ? "Infinity" : value < 0 ? "-Infinity" : "NaN";
        return text_put_ascii(t, word, strlen(word));
    }
    char *digits = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (digits == NULL)
        return -1;
    int bad = text_put_ascii(t, digits, strlen(digits));
    PyMem_Free(digits);
    return bad;
}

/* Notes that o is being encoded; *ident is what to forget it by, or NULL where nobody checks. */
static int encoder_enter(struct encoder *e, PyObject *o, PyObject **ident)
{
    *ident = NULL;
    if (e->markers == Py_None)
        return 0;
    PyObject *id = PyLong_FromVoidPtr(o);
    int known = id != NULL ? PyDict_Contains(e->markers, id) : -1;
    if (known > 0)
        PyErr_SetString(PyExc_ValueError, "Circular reference detected");
    if (known != 0 || PyDict_SetItem(e->markers, id, o) < 0) {
        Py_XDECREF(id);
        return -1;
    }
    *ident = id;
    return 0;
}

static int encoder_leave(struct encoder *e, PyObject *ident)
{
    if (ident == NULL)
        return 0;
    int bad = PyDict_DelItem(e->markers, ident);
    Py_DECREF(ident);
    return bad;
}

static int encoder_list(struct encoder *e, struct text *t, PyObject *list)
{
    PyObject *ident;
    PyObject *fast = PySequence_Fast(list, "_iterencode_list needs a sequence");
    if (fast == NULL)
        return -1;
    if (PySequence_Fast_GET_SIZE(fast) == 0) {
        Py_DECREF(fast);
        return text_put_ascii(t, "[]", 2);
    }
    if (encoder_enter(e, list, &ident) < 0) {
        Py_DECREF(fast);
        return -1;
    }
    int bad = text_put_ascii(t, "[", 1);
    for (Py_ssize_t i = 0; !bad && i < PySequence_Fast_GET_SIZE(fast); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(fast, i));
        bad = (i > 0 && text_put_str(t, e->item_separator) < 0) || encoder_value(e, t, item) < 0;
        Py_DECREF(item);
    }
    Py_DECREF(fast);
    if (bad) {
        Py_XDECREF(ident);
        return -1;
    }
    return encoder_leave(e, ident) < 0 ? -1 : text_put_ascii(t, "]", 1);
}

/* One pair; *first says whether a separator is due. Keys of other types are skipped or refused. */
static int encoder_pair(struct encoder *e, struct text *t, PyObject *key, PyObject *value, bool *first)
{
    PyObject *word = NULL; /* a key that is no string, as one */
    if (!PyUnicode_Check(key)) {
        struct text k;
        int bad;
        text_init(&k);
        if (key == Py_True || key == Py_False)
            bad = text_put_ascii(&k, key == Py_True ? "true" : "false", key == Py_True ? 4 : 5);
        else if (key == Py_None)
            bad = text_put_ascii(&k, "null", 4);
        else if (PyFloat_Check(key))
            bad = encoder_float(e, &k, key);
        else if (PyLong_Check(key))
            bad = encoder_int(&k, key);
        else if (e->skipkeys)
            return 0;
        else {
            PyErr_Format(PyExc_TypeError, "keys must be str, int, float, bool or None, not %.100s",
                         Py_TYPE(key)->tp_name);
            return -1;
        }
        word = bad ? NULL : text_finish(&k);
        text_clear(&k);
        if (word == NULL)
            return -1;
        key = word;
    }
    int bad = (!*first && text_put_str(t, e->item_separator) < 0) || encoder_string(e, t, key) < 0 ||
              text_put_str(t, e->key_separator) < 0 || encoder_value(e, t, value) < 0;
    *first = false;
    Py_XDECREF(word);
    return bad ? -1 : 0;
}

static int encoder_dict(struct encoder *e, struct text *t, PyObject *dict)
{
    PyObject *ident, *key, *value;
    bool first = true;
    if (PyDict_GET_SIZE(dict) == 0)
        return text_put_ascii(t, "{}", 2);
    if (encoder_enter(e, dict, &ident) < 0)
        return -1;
    int bad = text_put_ascii(t, "{", 1);
    if (!e->sort_keys && PyDict_CheckExact(dict)) {
        Py_ssize_t pos = 0, size = PyDict_GET_SIZE(dict);
        while (!bad && PyDict_Next(dict, &pos, &key, &value)) {
            Py_INCREF(key);
            Py_INCREF(value);
            bad = encoder_pair(e, t, key, value, &first);
            Py_DECREF(key);
            Py_DECREF(value);
            if (!bad && PyDict_GET_SIZE(dict) != size) { /* default() has changed it under our hands */
                PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
                bad = -1;
            }
        }
    } else {
        PyObject *items = PyMapping_Items(dict);
        bad = bad || items == NULL || (e->sort_keys && PyList_Sort(items) < 0);
        for (Py_ssize_t i = 0; !bad && i < PyList_GET_SIZE(items); i++) {
            PyObject *item = Py_NewRef(PyList_GET_ITEM(items, i));
            if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
                PyErr_SetString(PyExc_ValueError, "items must return 2-tuples");
                bad = -1;
            } else {
                bad = encoder_pair(e, t, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1), &first);
            }
            Py_DECREF(item);
        }
        Py_XDECREF(items);
    }
    if (bad) {
        Py_XDECREF(ident);
        return -1;
    }
    return encoder_leave(e, ident) < 0 ? -1 : text_put_ascii(t, "}", 1);
}

/* What default() makes of an object of another type. */
static int encoder_other(struct encoder *e, struct text *t, PyObject *o)
{
    PyObject *ident;
    if (encoder_enter(e, o, &ident) < 0)
        return -1;
    PyObject *made = PyObject_CallOneArg(e->default_, o);
    int bad = made == NULL || Py_EnterRecursiveCall(" while encoding a JSON object");
    if (!bad) {
        bad = encoder_value(e, t, made) < 0;
        Py_LeaveRecursiveCall();
    }
    Py_XDECREF(made);
    if (bad) {
        Py_XDECREF(ident);
        return -1;
    }
    return encoder_leave(e, ident);
}

static int encoder_value(struct encoder *e, struct text *t, PyObject *o)
{
    int bad;
    if (o == Py_None)
        return text_put_ascii(t, "null", 4);
    if (o == Py_True)
        return text_put_ascii(t, "true", 4);
    if (o == Py_False)
        return text_put_ascii(t, "false", 5);
    if (PyUnicode_Check(o))
        return encoder_string(e, t, o);
    if (PyLong_Check(o))
        return encoder_int(t, o);
    if (PyFloat_Check(o))
        return encoder_float(e, t, o);
    if (!PyList_Check(o) && !PyTuple_Check(o) && !PyDict_Check(o))
        return encoder_other(e, t, o);
    if (Py_EnterRecursiveCall(" while encoding a JSON object"))
        return -1;
    bad = PyDict_Check(o) ? encoder_dict(e, t, o) : encoder_list(e, t, o);
    Py_LeaveRecursiveCall();
    return bad;
}

static PyObject *encoder_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"obj", "_current_indent_level", NULL};
    struct text t;
    PyObject *o;
    Py_ssize_t level;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "On:_iterencode", names, &o, &level))
        return NULL;
    text_init(&t);
    PyObject *result = encoder_value((struct encoder *)self, &t, o) < 0 ? NULL : text_finish(&t);
    text_clear(&t);
    return result != NULL ? Py_BuildValue("(N)", result) : NULL;
}

static int encoder_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct encoder *e = (struct encoder *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(e->markers);
    Py_VISIT(e->default_);
    Py_VISIT(e->encoder);
    Py_VISIT(e->indent);
    Py_VISIT(e->key_separator);
    Py_VISIT(e->item_separator);
    return 0;
}

static int encoder_clear(PyObject *self)
{
    struct encoder *e = (struct encoder *)self;
    Py_CLEAR(e->markers);
    Py_CLEAR(e->default_);
    Py_CLEAR(e->encoder);
    Py_CLEAR(e->indent);
    Py_CLEAR(e->key_separator);
    Py_CLEAR(e->item_separator);
    return 0;
}

static void encoder_dealloc(PyObject *self) { json_dealloc(self, encoder_clear); }

static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"markers",        "default",   "encoder",  "indent",    "key_separator",
                            "item_separator", "sort_keys", "skipkeys", "allow_nan", NULL};
    PyObject *markers, *default_, *encoder, *indent, *key_separator, *item_separator;
    int sort_keys, skipkeys, allow_nan;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOUUppp:make_encoder", names, &markers, &default_, &encoder,
                                     &indent, &key_separator, &item_separator, &sort_keys, &skipkeys, &allow_nan))
        return NULL;
    if (markers != Py_None && !PyDict_Check(markers)) {
        PyErr_Format(PyExc_TypeError, "make_encoder() argument 1 must be dict or None, not %.200s",
                     Py_TYPE(markers)->tp_name);
        return NULL;
    }
    struct encoder *e = (struct encoder *)type->tp_alloc(type, 0);
    if (e == NULL)
        return NULL;
    e->markers = Py_NewRef(markers);
    e->default_ = Py_NewRef(default_);
    e->encoder = Py_NewRef(encoder);
    e->indent = Py_NewRef(indent);
    e->key_separator = Py_NewRef(key_separator);
    e->item_separator = Py_NewRef(item_separator);
    e->sort_keys = sort_keys;
    e->skipkeys = skipkeys;
    e->allow_nan = allow_nan;
    if (PyCFunction_Check(encoder)) {
        if (PyCFunction_GetFunction(encoder) == json_encode_basestring_ascii)
            e->quote = QUOTE_ASCII;
        else if (PyCFunction_GetFunction(encoder) == json_encode_basestring)
            e->quote = QUOTE_PLAIN;
    }
    return (PyObject *)e;
}

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "_iterencode(obj, _current_indent_level) -> iterable"},
    {Py_tp_new, encoder_new},
    {Py_tp_call, encoder_call},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_traverse, encoder_traverse},
    {Py_tp_clear, encoder_clear},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "_json.Encoder",
    .basicsize = sizeof(struct encoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = encoder_slots,
};

/* ---- the module ---- */

static PyMethodDef json_methods[] = {
    {"encode_basestring_ascii", json_encode_basestring_ascii, METH_O,
     "encode_basestring_ascii(string) -> string\n\nReturn an ASCII-only JSON representation of a Python string"},
    {"encode_basestring", json_encode_basestring, METH_O,
     "encode_basestring(string) -> string\n\nReturn a JSON representation of a Python string"},
    {"scanstring", json_scanstring, METH_VARARGS,
     "scanstring(string, end, strict=True) -> (string, end)\n\nRead the string that starts before end"},
    {NULL, NULL, 0, NULL},
};

static int json_add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int bad = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return bad;
}

static int json_exec(PyObject *module)
{
    return json_add_type(module, "make_scanner", &scanner_spec) < 0 ||
                   json_add_type(module, "make_encoder", &encoder_spec) < 0
               ? -1
               : 0;
}

static PyModuleDef_Slot json_slots[] = {
    {Py_mod_exec, json_exec},
    {0, NULL},
};

static struct PyModuleDef json_module = {
    PyModuleDef_HEAD_INIT,     .m_name = "_json",     .m_doc = "json speedups\n",
    .m_methods = json_methods, .m_slots = json_slots,
};

PyMODINIT_FUNC PyInit__json(void) { return PyModuleDef_Init(&json_module); }
