// The numbers of a series, (time, dimension), however a file lays them out. NaN is a missing value.

const SHIFT = 16,
  ROWS = 1 << SHIFT; // of a block

/** Columns that grow row by row, in blocks: nothing is copied as they grow. */
export class Columns {
  constructor(width) {
    this.width = width;
    this.count = 0;
    this.blocks = []; // each (column, ROWS)
  }

  /** Make room for one more row; returns the block and the place of its first column. */
  grow() {
    const at = this.count & (ROWS - 1);
    if (at === 0) this.blocks.push(new Float64Array(this.width * ROWS));
    this.count += 1;
    return at;
  }

  /** Set a number of the newest row. */
  set(column, value) {
    this.blocks[this.blocks.length - 1][column * ROWS + ((this.count - 1) & (ROWS - 1))] = value;
  }

  at(row, column) {
    return this.blocks[row >>> SHIFT][column * ROWS + (row & (ROWS - 1))];
  }

  get bytes() {
    return this.blocks.length * this.width * ROWS * 8;
  }
}

/** An array of a file as it lies there, row after row or column after column. */
export class Strided {
  constructor(numbers, count, width, { isFortran = false } = {}) {
    Object.assign(this, { numbers, count, width });
    this.rowStep = isFortran ? 1 : width;
    this.columnStep = isFortran ? count : 1;
  }

  at(row, column) {
    return Number(this.numbers[row * this.rowStep + column * this.columnStep]);
  }

  get bytes() {
    return this.numbers.byteLength;
  }
}

/** Rows of some columns as one block (time, column) of float64, as the service takes it. */
export function block(matrix, columns, from, to) {
  const width = columns.length,
    numbers = new Float64Array((to - from) * width);
  for (let place = 0; place < width; place++) {
    for (let row = from, at = place; row < to; row++, at += width) numbers[at] = matrix.at(row, columns[place]);
  }
  return numbers;
}
