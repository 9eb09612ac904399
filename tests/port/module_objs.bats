#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The object goes into MODULE_OBJS whatever the assignment looks like; each form is shown by building a program from it.
load ../e2e/helper

TOOL=${TOOL:-$TESTS/../python/module_objs.py}

# A program of three objects, one of them the one to be added. make's default rules would compile; these are explicit.
setup() {
    mkdir -p "$BATS_TEST_TMPDIR/work/Modules"
    cd "$BATS_TEST_TMPDIR/work"
    echo 'int helper(void); int other(void); int main(void) { return helper() + other() - 42; }' >Modules/main.c
    echo 'int other(void) { return 2; }' >Modules/other.c
    echo 'int helper(void) { return 40; }' >Modules/helper.c
}

# makefile ASSIGNMENT: printf's notation.
makefile() {
    {
        echo 'CC=gcc'
        printf "$1"
        printf '\nIO_H=\t\tModules/io.h\n\nprogram:\t$(MODULE_OBJS)\n\t$(CC) -o $@ $(MODULE_OBJS)\n'
        printf '.c.o:\n\t$(CC) -c -o $@ $<\nprint:\n\t@echo $(strip $(MODULE_OBJS))/$(IO_H)\n'
    } >Makefile
}

add() { python3 "$TOOL" add "$PWD/Makefile" Modules/helper.o; }

builds() {
    add
    python3 "$TOOL" check "$PWD/Makefile" Modules/helper.o
    make -s program
    ./program
    [ "$(make -s print)" = "Modules/helper.o Modules/main.o Modules/other.o/Modules/io.h" ]
    cp Makefile Makefile.once
    add
    cmp Makefile Makefile.once
}

@test "many lines, the last without a backslash" {
    makefile 'MODULE_OBJS=\t\\\n\t\tModules/main.o \\\n\t\tModules/other.o\n'
    builds
}

@test "many lines, the last with a backslash" {
    makefile 'MODULE_OBJS=\t\\\n\t\tModules/main.o \\\n\t\tModules/other.o \\\n'
    builds
}

@test "one line" {
    makefile 'MODULE_OBJS= Modules/main.o Modules/other.o\n'
    builds
}

@test "one line with a backslash" {
    makefile 'MODULE_OBJS= Modules/main.o Modules/other.o \\\n'
    builds
}

@test "no blank around = and the backslash" {
    makefile 'MODULE_OBJS=Modules/main.o\\\nModules/other.o\n'
    builds
}

@test "an assignment with :=" {
    makefile 'MODULE_OBJS := Modules/main.o \\\n  Modules/other.o\n'
    builds
}

@test "no blank line after the list" {
    makefile 'MODULE_OBJS=\t\\\n\tModules/main.o \\\n\tModules/other.o'
    builds
}

@test "the continuation lines stay as they were" {
    makefile 'MODULE_OBJS=\t\\\n\t\tModules/main.o \\\n\t\tModules/other.o\n'
    cp Makefile before
    add
    run diff before Makefile
    [ "$(grep -c '^[<>]' <<<"$output")" -eq 2 ]
    [ "$(grep -c '\\$' before)" -eq "$(grep -c '\\$' Makefile)" ]
}

@test "a list without the object fails the check with one line" {
    makefile 'MODULE_OBJS= Modules/main.o Modules/other.o\n'
    run python3 "$TOOL" check "$PWD/Makefile" Modules/helper.o
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    has "MODULE_OBJS holds Modules/helper.o 0 times"
}

@test "a list with the object twice fails the check with one line" {
    makefile 'MODULE_OBJS= Modules/helper.o Modules/main.o Modules/helper.o\n'
    run add
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    has "2 times"
}

@test "a makefile without the assignment, or with two, is refused" {
    makefile 'OTHER_OBJS= Modules/main.o\n'
    run add
    [ "$status" -eq 1 ]
    has "0 assignments"
    makefile 'MODULE_OBJS= Modules/main.o\nMODULE_OBJS= Modules/other.o\n'
    run add
    [ "$status" -eq 1 ]
    has "2 assignments"
}

@test "a makefile that make cannot read is refused" {
    makefile 'MODULE_OBJS= Modules/main.o\n\nendif\n'
    run add
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
}
