/* SPDX-License-Identifier: MIT */
/* As much of JSON as a sidecar and a file of statistics need: one object of strings, numbers and booleans. */
#ifndef MONITOR_JSON_H
#define MONITOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes into a buffer; full once something did not fit. */
struct json {
    char *buf;
    size_t size, len;
    bool full;
    unsigned depth, members;
};
void json_begin(struct json *j, char *buf, size_t size); /* opens the object */
void json_object(struct json *j, const char *key);       /* opens an object within; closed by json_close() */
void json_close(struct json *j);
void json_string(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
/* Closes the object and ends it with a newline; its length, or -1 if it did not fit. */
int json_end(struct json *j);

/*
 * Strict reader of one flat object. Calls member for each: value is the string's bytes (unescaped, NUL-terminated), or
 * the number's digits with is_number. Only unsigned whole numbers. False: not such an object, or member said false.
 */
bool json_parse(const char *text, size_t len,
                bool (*member)(void *arg, const char *key, const char *value, bool is_number), void *arg);

#endif
