/* SPDX-License-Identifier: MIT */
/*
 * thaw-oci ARCHIVE ROOT WORK: unpacks a container image into the directory ROOT; WORK is another, for its parts.
 *
 * ARCHIVE is what `docker save` or `skopeo copy ... docker-archive:|oci-archive:` writes. On standard output it says how
 * the image is to be started, as strings that end in NUL: A and a word, in order, E and NAME=VALUE, W and the working
 * directory. `thaw image build` runs it as a process of its own, since what it reads may be anybody's.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tree.h"

#define JSON_MAX (4u << 20)
#define LAYERS_MAX 1024
#define INDEX_DEPTH 4

static int bad(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return -1;
}

static cJSON *json_read(const struct tree *parts, const char *path)
{
    char *text = tree_read(parts, path, JSON_MAX);
    cJSON *json = text ? cJSON_Parse(text) : NULL;

    if (text && !json)
        fprintf(stderr, "%s is no JSON\n", path);
    free(text);
    return json;
}

static const char *json_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* "sha256:HEX" as the path of its blob. */
static int blob_path(const cJSON *descriptor, char path[PATH_MAX])
{
    const char *digest = json_string(descriptor, "digest");
    const char *colon = digest ? strchr(digest, ':') : NULL;

    if (!colon || strspn(digest, "abcdefghijklmnopqrstuvwxyz0123456789+._-") != (size_t)(colon - digest) ||
        digest[0] == '.' || !colon[1] || strspn(colon + 1, "0123456789abcdef") != strlen(colon + 1) ||
        strlen(digest) > 200)
        return bad("the index names a blob by something that is no digest");
    snprintf(path, PATH_MAX, "blobs/%.*s/%s", (int)(colon - digest), digest, colon + 1);
    return 0;
}

/* ---- how to start it ---- */

static void put_strings(char tag, const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list) if (cJSON_IsString(item)) printf("%c%s%c", tag, item->valuestring, 0);
}

static int put_config(const struct tree *parts, const char *path)
{
    cJSON *json = json_read(parts, path);
    const cJSON *config = cJSON_GetObjectItemCaseSensitive(json, "config");
    const char *dir;

    if (!json)
        return -1;
    put_strings('A', cJSON_GetObjectItemCaseSensitive(config, "Entrypoint"));
    put_strings('A', cJSON_GetObjectItemCaseSensitive(config, "Cmd"));
    put_strings('E', cJSON_GetObjectItemCaseSensitive(config, "Env"));
    dir = json_string(config, "WorkingDir");
    if (dir && *dir)
        printf("W%s%c", dir, 0);
    cJSON_Delete(json);
    return 0;
}

/* ---- layers ---- */

static int unpack_layer(struct tree *root, const struct tree *parts, const char *path, unsigned *count)
{
    if (++*count > LAYERS_MAX)
        return bad("too many layers");
    return tree_unpack(root, parts, path, true);
}

static int unpack_docker(struct tree *root, const struct tree *parts)
{
    cJSON *json = json_read(parts, "manifest.json");
    const cJSON *image = cJSON_GetArrayItem(json, 0), *layer;
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(image, "Layers");
    const char *config = json_string(image, "Config");
    unsigned count = 0;
    int ret = json ? 0 : -1;

    if (ret == 0 && (!cJSON_IsArray(layers) || !config))
        ret = bad("manifest.json names no layers or no configuration");
    if (ret == 0 && cJSON_GetArraySize(json) > 1)
        ret = bad("the archive holds several images; save one alone");
    if (ret == 0)
        cJSON_ArrayForEach(layer, layers)
        {
            ret = cJSON_IsString(layer) ? unpack_layer(root, parts, layer->valuestring, &count)
                                        : bad("manifest.json names a layer by something that is no string");
            if (ret < 0)
                break;
        }
    if (ret == 0)
        ret = put_config(parts, config);
    cJSON_Delete(json);
    return ret;
}

static int is_ours(const cJSON *descriptor)
{
    const cJSON *platform = cJSON_GetObjectItemCaseSensitive(descriptor, "platform");
    const char *os = json_string(platform, "os"), *arch = json_string(platform, "architecture");

    return (!os || strcmp(os, "linux") == 0) && (!arch || strcmp(arch, "amd64") == 0);
}

/* A manifest, or an index of some, at path. */
static int unpack_oci(struct tree *root, const struct tree *parts, const char *path, int depth)
{
    cJSON *json = json_read(parts, path);
    const cJSON *manifests = cJSON_GetObjectItemCaseSensitive(json, "manifests");
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(json, "layers"), *item;
    char blob[PATH_MAX];
    unsigned count = 0;
    int ret = json ? 0 : -1;

    if (ret == 0 && cJSON_IsArray(manifests)) {
        const cJSON *found = NULL;
        cJSON_ArrayForEach(item, manifests) if (!found && is_ours(item)) found = item;
        if (!found)
            ret = bad("the archive has no image for linux/amd64");
        else if (depth >= INDEX_DEPTH)
            ret = bad("indexes are nested too deeply");
        else
            ret = blob_path(found, blob) < 0 ? -1 : unpack_oci(root, parts, blob, depth + 1);
    } else if (ret == 0 && cJSON_IsArray(layers)) {
        cJSON_ArrayForEach(item, layers)
        {
            ret = blob_path(item, blob) < 0 ? -1 : unpack_layer(root, parts, blob, &count);
            if (ret < 0)
                break;
        }
        if (ret == 0)
            ret = blob_path(cJSON_GetObjectItemCaseSensitive(json, "config"), blob);
        if (ret == 0)
            ret = put_config(parts, blob);
    } else if (ret == 0) {
        ret = bad("neither an index nor a manifest");
    }
    cJSON_Delete(json);
    return ret;
}

int main(int argc, char **argv)
{
    struct tree *root, *parts;
    int ret;

    if (argc != 4) {
        fputs("Usage: thaw-oci ARCHIVE ROOT WORK\n", stderr);
        return 2;
    }
    umask(022);
    root = tree_open(argv[2]);
    parts = tree_open(argv[3]);
    if (!root || !parts) {
        perror(root ? argv[3] : argv[2]);
        return 1;
    }
    ret = tree_unpack(parts, NULL, argv[1], false);
    if (ret == 0)
        ret = tree_has(parts, "index.json")      ? unpack_oci(root, parts, "index.json", 0)
              : tree_has(parts, "manifest.json") ? unpack_docker(root, parts)
                                                 : bad("neither index.json nor manifest.json is in it");
    if (ret == 0)
        ret = tree_finish(root);
    tree_close(parts);
    tree_close(root);
    if (ret == 0 && fflush(stdout) != 0)
        ret = bad("cannot write to standard output");
    return ret != 0;
}
