/** ZIP archives whose files are stored as they are, because PNG is compressed already. */

const VERSION = 20;
const UTF8_NAMES = 0x0800;
const FIRST_DAY = 0x21; // 1 January 1980, so that equal results give equal archives
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

const little = (length) => (...values) =>
  values.flatMap((value) => Array.from({ length }, (_, byte) => (value >>> (8 * byte)) & 255));
const [two, four] = [little(2), little(4)];

/**
 * Pack files into an archive.
 * @param {{name: string, blob: Blob}[]} files
 * @returns {Promise<Blob>}
 */
export async function zip(files) {
  const [contents, directory] = [[], []];
  const [offsetOf, sizeOf] = [() => new Blob(contents).size, () => new Blob(directory).size];
  for (const { name, blob } of files) {
    const [offset, path] = [offsetOf(), new TextEncoder().encode(name)];
    const sums = four(crc32(new Uint8Array(await blob.arrayBuffer())), blob.size, blob.size);
    const facts = [...two(VERSION, UTF8_NAMES, 0, 0, FIRST_DAY), ...sums, ...two(path.length, 0)];
    contents.push(Uint8Array.from([...four(0x04034b50), ...facts]), path, blob);
    const place = [...two(0, 0, 0), ...four(0, offset)];
    directory.push(Uint8Array.from([...four(0x02014b50), ...two(VERSION), ...facts, ...place]), path);
  }
  const counts = two(0, 0, files.length, files.length);
  const end = Uint8Array.from([...four(0x06054b50), ...counts, ...four(sizeOf(), offsetOf()), ...two(0)]);
  return new Blob([...contents, ...directory, end], { type: "application/zip" });
}

/** The checksum of ZIP and PNG. */
export function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
