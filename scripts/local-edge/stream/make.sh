#!/bin/sh
# Makes the demo stream in this folder from nothing but ffmpeg (5.1 or newer, with libx264 and libfreetype) and the
# DejaVu fonts. It is run by hand when the picture should change, never by CI: the result is in the repository.
#
# 24 s, 25 frames a second, one key frame every 2 s, no B frames, so that every video segment starts at its nominal
# time. Picture and sound return to their beginning after 24 s, and 24 s are a whole number of video frames (600) and
# of AAC frames (1,125 of 1,024 samples at 48 kHz): the origin can repeat the segments for ever on one timeline.
set -eu
cd "$(dirname "$0")"
sans=${SANS:-/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf}
plain=${PLAIN:-/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf}
mono=${MONO:-/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seconds=24
turn="2*PI*T/$seconds"

# The light behind the gate: two slow waves (st 0, st 1) coloured teal and violet, drawn small and scaled up.
wave="st(0,pow(0.5+0.5*sin(X/34-$turn+1.5*sin(Y/21+$turn)),2))*0+st(1,pow(0.5+0.5*sin(X/45+2*($turn)+1.2*cos(Y/27-$turn)),3))*0"
aurora="color=c=black:s=160x90:r=25:d=$seconds,format=gbrp,geq=\
r='$wave+10+22*ld(0)+112*ld(1)':g='$wave+16+128*ld(0)+26*ld(1)':b='$wave+36+104*ld(0)+104*ld(1)',\
scale=1280:720:flags=bicubic,format=yuv420p"

# The gate: bars every 128 pixels with a spike below, cross rails every 120; one picture that the overlay moves.
bar="lt(abs(mod(X,128)-64),13)*lt(Y,690)"
rail="lt(abs(mod(Y,120)-60),7)*lt(Y,640)"
spike="lt(abs(mod(X,128)-64),(750-Y)/3.2)*gte(Y,690)"
shine="if($bar+$spike,pow(cos(PI*(mod(X,128)-64)/26),2)*lt(abs(mod(X,128)-64),13),0.7*pow(cos(PI*(mod(Y,120)-60)/14),2))"
gate="color=c=black:s=1280x760:r=1:d=1,format=rgba,geq=\
r='6+44*$shine':g='9+52*$shine':b='18+66*$shine':a='242*min(1,$bar+$rail+$spike)'"

words="drawtext=fontfile=$sans:text='P O R T C U L L I S':fontcolor=white:fontsize=76:x=(w-text_w)/2:y=262:shadowcolor=black@0.55:shadowx=0:shadowy=3,\
drawtext=fontfile=$plain:text='the gate in front of your stream':fontcolor=white@0.92:fontsize=32:x=(w-text_w)/2:y=366:shadowcolor=black@0.6:shadowx=0:shadowy=2,\
drawbox=x=0:y=ih-6:w=iw:h=6:color=white@0.14:t=fill,\
drawtext=fontfile=$mono:text='%{pts\:hms}':fontcolor=white@0.95:fontsize=30:x=w-text_w-44:y=h-74:shadowcolor=black@0.7:shadowx=0:shadowy=2,\
drawtext=fontfile=$mono:text='demo stream':fontcolor=white@0.75:fontsize=26:x=44:y=h-72:shadowcolor=black@0.7:shadowx=0:shadowy=2"

ffmpeg -nostdin -v error -y -f lavfi -i "$gate" -frames:v 1 "$work/gate.png"
ffmpeg -nostdin -v error -y -f lavfi -i "$aurora" -loop 1 -framerate 25 -t $seconds -i "$work/gate.png" \
  -f lavfi -i "color=c=0x7cf5d0:s=1280x6:r=25:d=$seconds,format=yuv420p" -filter_complex \
  "[0][1]overlay=x=0:y='-420+250*cos(2*PI*t/$seconds)*cos(2*PI*t/$seconds)-120*sin(4*PI*t/$seconds)':eval=frame[g];[g]$words[w];\
[w][2]overlay=x='-w+w*t/$seconds':y=H-6:eval=frame,format=yuv420p[v]" \
  -map '[v]' -t $seconds -c:v libx264 -preset fast -qp 4 "$work/picture.mkv"

# Sound: a slow chord (every frequency a multiple of 1/24 Hz, so it closes) and a plucked note each second. Three turns
# are made and the middle one kept, so that the encoder's own overlap closes as well.
pad() { printf "0.045*sin(2*PI*%s*t)*(0.7+0.3*sin(2*PI*t/%s))" "$1" "$2"; }
pluck="0.16*sin(2*PI*(220+55*mod(floor(mod(t,24)*1)*3\,5))*mod(t\,1))*exp(-5*mod(t\,1))*(1-exp(-200*mod(t\,1)))"
left="$(pad 110 8)+$(pad 165 12)+$(pad 277.25 6)+$pluck"
right="$(pad 110 12)+$(pad 220 8)+$(pad 329.625 24)+$pluck"
ffmpeg -nostdin -v error -y -f lavfi -i "aevalsrc=exprs='$(printf %s "$left" | sed 's/mod(t,24)\*1/mod(t\\,24)*1/')|$(printf %s "$right" | sed 's/mod(t,24)\*1/mod(t\\,24)*1/')':s=48000:d=$((seconds * 3))" \
  -c:a aac -b:a 64k "$work/turns.m4a"
ffmpeg -nostdin -v error -y -ss $seconds -t $seconds -i "$work/turns.m4a" -c copy -avoid_negative_ts make_zero "$work/sound.m4a"

rendition() { # name width height kilobits
  ffmpeg -nostdin -v error -y -i "$work/picture.mkv" -an -vf "scale=$2:$3:flags=lanczos" -c:v libx264 -profile:v high -preset veryslow \
    -tune animation -b:v "$4k" -maxrate "$4k" -bufsize "$(($4 * 2))k" -bf 0 -refs 4 -g 50 -keyint_min 50 -sc_threshold 0 \
    -video_track_timescale 12800 -flags +cgop -map_metadata -1 -fflags +bitexact -flags:v +bitexact "$work/$1.mp4"
}
package() { # name source
  rm -rf "$1" && mkdir "$1"
  ffmpeg -nostdin -v error -y -i "$2" -c copy -map_metadata -1 -fflags +bitexact -f hls -hls_time 2 -hls_playlist_type vod \
    -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 -hls_flags independent_segments -start_number 0 \
    -hls_segment_filename "$1/%d.m4s" "$1/index.m3u8"
  rm "$1/index.m3u8" # the origin writes the playlists from the segments
}
rendition video-360 640 360 180
rendition video-720 1280 720 560
package video-360 "$work/video-360.mp4"
package video-720 "$work/video-720.mp4"
package audio "$work/sound.m4a"
du -sh video-360 video-720 audio
