/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "json.h"

#include <stdio.h>
#include <string.h>

static void put(struct json *j, const char *s, size_t n)
{
    if (j->full || n >= j->size - j->len) {
        j->full = true;
        return;
    }
    memcpy(j->buf + j->len, s, n);
    j->len += n;
    j->buf[j->len] = 0;
}

static void put_string(struct json *j, const char *s)
{
    put(j, "\"", 1);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[8];

        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            put(j, esc, 2);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(esc, sizeof esc, "\\u%04x", c);
            put(j, esc, 6);
        } else {
            put(j, s, 1);
        }
    }
    put(j, "\"", 1);
}

static void put_key(struct json *j, const char *key)
{
    put(j, ",\n", j->members ? 2 : 0);
    put(j, "\n", j->members ? 0 : 1);
    j->members++;
    for (unsigned i = 0; i < j->depth; i++)
        put(j, "  ", 2);
    put_string(j, key);
    put(j, ": ", 2);
}

void json_begin(struct json *j, char *buf, size_t size)
{
    *j = (struct json){.buf = buf, .size = size, .depth = 1};
    put(j, "{", 1);
}

void json_object(struct json *j, const char *key)
{
    put_key(j, key);
    put(j, "{", 1);
    j->depth++;
    j->members = 0;
}

void json_close(struct json *j)
{
    j->depth--;
    put(j, "\n", 1);
    for (unsigned i = 0; i < j->depth; i++)
        put(j, "  ", 2);
    put(j, "}", 1);
    j->members = 1;
}

void json_string(struct json *j, const char *key, const char *value)
{
    put_key(j, key);
    put_string(j, value);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
    char s[24];
    int n = snprintf(s, sizeof s, "%llu", (unsigned long long)value);

    put_key(j, key);
    put(j, s, (size_t)n);
}

void json_bool(struct json *j, const char *key, bool value)
{
    put_key(j, key);
    put(j, value ? "true" : "false", value ? 4 : 5);
}

int json_end(struct json *j)
{
    json_close(j);
    put(j, "\n", 1);
    return j->full ? -1 : (int)j->len;
}

/* ---- reader ---- */

static const char *skip(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* p is behind the opening quote; returns what is behind the closing one, or NULL. */
static const char *read_string(const char *p, const char *end, char *dst, size_t size)
{
    size_t n = 0;

    for (;;) {
        char c;

        if (p >= end || n + 1 >= size)
            return NULL;
        c = *p++;
        if (c == '"')
            break;
        if ((unsigned char)c < 0x20)
            return NULL;
        if (c == '\\') {
            if (p >= end)
                return NULL;
            c = *p++;
            if (c == 'u') {
                int v = 0;

                for (int i = 0; i < 4; i++, p++) {
                    int d = p < end ? hex_digit(*p) : -1;

                    if (d < 0)
                        return NULL;
                    v = v * 16 + d;
                }
                /* The writer escapes control characters only; a NUL would cut the string. */
                if (v == 0 || v > 0x7f)
                    return NULL;
                c = (char)v;
            } else if (c != '"' && c != '\\' && c != '/') {
                return NULL;
            }
        }
        dst[n++] = c;
    }
    dst[n] = 0;
    return p;
}

bool json_parse(const char *text, size_t len,
                bool (*member)(void *arg, const char *key, const char *value, bool is_number), void *arg)
{
    const char *p = text, *end = text + len;
    char key[64], value[4097];

    p = skip(p, end);
    if (p == end || *p++ != '{')
        return false;
    p = skip(p, end);
    if (p < end && *p == '}')
        return skip(p + 1, end) == end;
    for (;;) {
        bool is_number = false;

        p = skip(p, end);
        if (p == end || *p++ != '"' || !(p = read_string(p, end, key, sizeof key)))
            return false;
        p = skip(p, end);
        if (p == end || *p++ != ':')
            return false;
        p = skip(p, end);
        if (p == end)
            return false;
        if (*p == '"') {
            if (!(p = read_string(p + 1, end, value, sizeof value)))
                return false;
        } else {
            size_t n = 0;

            while (p < end && *p >= '0' && *p <= '9' && n < 20)
                value[n++] = *p++;
            if (n == 0)
                return false;
            value[n] = 0;
            is_number = true;
        }
        if (!member(arg, key, value, is_number))
            return false;
        p = skip(p, end);
        if (p == end)
            return false;
        if (*p == '}')
            return skip(p + 1, end) == end;
        if (*p++ != ',')
            return false;
    }
}
